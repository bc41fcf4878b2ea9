"""How a variant is asked: what it is shown of an image, and how much its numbers are worth."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import pydantic

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.base.mistakes import shown
from pipeline.evaluate.views import ONE, Views

Temperature = Annotated[float, pydantic.Field(strict=True, ge=0.01, le=100)]


class Manner(NamedTuple):
    """The `views` of an image, and the `temperature` by which what the network gives is divided."""

    views: Views
    temperature: float


PLAIN = Manner(ONE, 1.0)


def read(params: Mapping[str, Any], variant: str, network: str) -> Manner:
    """What params.yaml gives for the `network` of `variant`, and for the recipe of that.

    The image alone for a network that has no views there, and 1 for a recipe without a temperature,
    or a variant that is gone.
    """
    views = _mapping(params, "views")
    temperatures = _mapping(params, "temperatures")
    try:
        recipe = params_file.at(params, f"variants.{variant}.recipe")
    except PipelineError:
        recipe = None
    if not isinstance(recipe, str):
        recipe = None  # the schema of params.yaml names it
    return Manner(
        params_file.section(params, f"views.{network}", Views) if network in views else ONE,
        params_file.section(params, f"temperatures.{recipe}", Temperature)
        if recipe in temperatures
        else 1.0,
    )


def _mapping(params: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = params_file.at(params, key)
    if not isinstance(found, Mapping):
        raise PipelineError(
            f"{params_file.PARAMS_FILE}: {key}: expected a mapping, found {shown(found)}"
        )
    return found
