"""All of params.yaml as one schema: `python -m pipeline.tools.schema` names every mistake in it.

The dispatcher asks for this before every stage, and make before it runs or plans anything; a stage
reads its own sections through pipeline/base/params_file.py, so that one stage's setting is no
dependency of another.
"""

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Union

import pydantic

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.base.mistakes import nearest
from pipeline.comparison.settings import Compare
from pipeline.datasets.config import DatasetConfig, read_dataset_config
from pipeline.evaluate.manner import Temperature
from pipeline.evaluate.settings import Evaluate, Predict
from pipeline.evaluate.views import Views
from pipeline.explore.settings import Explore
from pipeline.fetch.settings import Fetch
from pipeline.page.settings import Page
from pipeline.runtime import Runtime
from pipeline.train import arithmetic, recipe, variant

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def _name(name: str) -> str:
    """It becomes part of stage names, file names and DVC's dotted keys."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name of letters, digits, '_' and '-', a letter first")
    return name


def _named(group: dict[str, Any]) -> dict[str, Any]:
    if not group:
        raise ValueError("a mapping of at least one name to its settings")
    folded = [name.lower() for name in group]
    if twice := [name for name in group if folded.count(name.lower()) > 1]:
        # Some systems take files of such names for the same.
        raise ValueError(f"names that differ in more than case, not {' and '.join(twice)}")
    return group


Name = Annotated[str, pydantic.AfterValidator(_name)]
Named = pydantic.AfterValidator(_named)


def schema(*, fetching: bool) -> type[params_file.Section]:
    """What params.yaml holds, with the networks that have a file now.

    Where nothing is fetched, as of photos, it needs no section `fetch`.
    """
    kinds: Any = Union[tuple(map(variant.network, variant.networks()))]  # noqa: UP007
    if len(variant.networks()) > 1:
        kinds = Annotated[kinds, pydantic.Field(discriminator="network")]

    class Params(params_file.Section):
        dataset: DatasetConfig
        explore: Explore
        runtime: Runtime
        arithmetic: Annotated[dict[Name, arithmetic.Arithmetic], Named]
        recipes: Annotated[dict[Name, recipe.AnyRecipe], Named]
        variants: Annotated[dict[Name, kinds], Named]
        views: dict[Annotated[str, params_file.one_of(variant.networks())], Views]
        temperatures: dict[str, Temperature]
        predict: Predict
        evaluate: Evaluate
        compare: Compare
        page: Page

    class Fetching(Params):
        fetch: Fetch

    return Fetching if fetching else Params


def check(params: Mapping[str, Any]) -> None:
    """Raise PipelineError with a line for every mistake anywhere in `params`."""
    mistakes: list[str] = []
    of_photos = _are_mappings(params, "dataset") and params["dataset"].get("kind") == "photos"
    try:
        params_file.section(params, "", schema(fetching="fetch" in params or not of_photos))
    except PipelineError as error:
        mistakes += str(error).splitlines()
    for name in params["variants"] if _are_mappings(params, "recipes", "variants") else ():
        try:
            _check_recipe(params, str(name))
        except PipelineError:
            pass  # it has its lines by now
        except ValueError as error:
            mistakes.append(f"{params_file.PARAMS_FILE}: variants.{name}{error}")
    if _are_mappings(params, "page", "variants"):
        mistakes += _unknown("page.variant", params["page"].get("variant"), params["variants"])
    if _are_mappings(params, "temperatures", "recipes"):
        for name in params["temperatures"]:
            mistakes += _unknown(f"temperatures.{name}", name, params["recipes"])
    if mistakes:
        raise PipelineError("\n".join(mistakes))


def _unknown(key: str, name: object, known: Mapping[str, Any]) -> list[str]:
    """A line when the `name` at `key` is not among the `known` ones; no name is another mistake."""
    if not isinstance(name, str) or name in known:
        return []
    names = list(map(str, known))
    return [
        f"{params_file.PARAMS_FILE}: {key}: expected one of {', '.join(names)}, found {name!r}"
        f"{nearest(name, names)}"
    ]


def _are_mappings(params: Mapping[str, Any], *keys: str) -> bool:
    return all(isinstance(params.get(key), Mapping) for key in keys)


def _check_recipe(params: Mapping[str, Any], name: str) -> None:
    """ValueError unless what the variant names exists and its network fits every epoch's images.

    PipelineError when one of the two is wrong in itself.
    """
    named = params_file.at(params, f"variants.{name}")
    for key, section in (("recipe", "recipes"), ("arithmetic", "arithmetic")):
        known = params_file.at(params, section)
        what = named.get(key) if isinstance(named, Mapping) else None
        if isinstance(what, str) and what not in known:
            raise ValueError(
                f".{key}: expected one of {', '.join(map(str, known))}, found {what!r}"
                f"{nearest(what, map(str, known))}"
            )
    chosen, side = variant.read(params, name), read_dataset_config(params).side
    sides = recipe.read(params, chosen.recipe).sides(side)
    if (least := chosen.least_side(side)) > side:
        raise ValueError(
            f": expected a network for images of {side} pixels a side, found one that needs "
            f"{least}; take fewer widths"
        )
    if min(sides) < least or max(sides) > side:
        raise ValueError(
            f": expected a recipe whose images have {least} to {side} pixels a side, as network "
            f"{chosen.network} needs them, found {min(sides)} to {max(sides)} by "
            f"recipes.{chosen.recipe}.growth; change that ({{}}: whole images in every epoch)"
        )


if __name__ == "__main__":
    try:
        check(params_file.read())
    except PipelineError as error:
        sys.exit(str(error))
