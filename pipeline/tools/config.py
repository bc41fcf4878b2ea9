"""Validation of the whole params.yaml: `python -m pipeline.tools.config` prints every error.

Run before every stage and by make. A stage reads its own sections through pipeline/core/params.py,
so that it does not depend on the settings of others.
"""

import fnmatch
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import pydantic

from pipeline.comparison.settings import Compare
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, ConfigModel, read_params, read_section
from pipeline.core.validation_messages import shorten, suggest
from pipeline.datasets.config import DatasetConfig
from pipeline.datasets.explore import Explore
from pipeline.datasets.fetch import Fetch
from pipeline.evaluation.config import (
    Evaluate,
    Inference,
    Predict,
    Temperature,
    TestTimeAugmentation,
)
from pipeline.page.page_data import Page
from pipeline.training.numerics import Numerics
from pipeline.training.variant import read_training_config

# Keys of version 1, by their pattern, and what replaced them.
RENAMED = {
    "arithmetic": "numerics",
    "runtime": "inference",
    "views": "test_time_augmentation",
    "dataset.framing": "dataset.crop_mode",
    "predict.unlikely": "predict.rejection_threshold",
    "evaluate.mistakes": "evaluate.misclassified",
    "evaluate.examples": "page.examples",
    "page.mistakes": "page.misclassified",
    "compare.confidence": "compare.confidence_level",
    "recipes.*.optimizer": "variants.*.optimizer, of each variant with that recipe",
    "recipes.*.growth": "recipes.*.progressive_resizing",
    "recipes.*.micro_batches_at_once": "recipes.*.parallel_micro_batches",
    "recipes.*.class_weights": "recipes.*.class_weight",
    "variants.*.arithmetic": "variants.*.numerics",
}
# Keys of a variant whose value is a key of a section.
REFERENCES = (
    ("recipe", "recipes"),
    ("numerics", "numerics"),
    ("network", "test_time_augmentation"),
)


# Part of stage names, file names and DVC's dotted keys.
Name = Annotated[str, pydantic.Field(pattern="^[A-Za-z][A-Za-z0-9_-]{0,99}$")]


def _check_distinct(group: dict[str, Any]) -> dict[str, Any]:
    """File systems that ignore case take two such names for one file."""
    if len({name.lower() for name in group}) < len(group):
        raise ValueError("names that differ in more than case")
    return group


Named = (pydantic.Field(min_length=1), pydantic.AfterValidator(_check_distinct))


class Params(ConfigModel):
    """params.yaml; its recipes and variants are validated by `read_training_config`."""

    fetch: Fetch | None = None  # photos are not downloaded
    dataset: DatasetConfig
    explore: Explore
    inference: Inference
    numerics: Annotated[dict[Name, Numerics], *Named]
    recipes: Annotated[dict[Name, dict[str, Any]], *Named]
    variants: Annotated[dict[Name, dict[str, Any]], *Named]
    test_time_augmentation: dict[Name, TestTimeAugmentation]
    temperatures: dict[Name, Temperature]
    predict: Predict
    evaluate: Evaluate
    compare: Compare
    page: Page


def check(params: Mapping[str, Any]) -> None:
    """Raise PipelineError with a line for every wrong value in `params`.

    References between sections are checked after every section is valid, then each variant.
    """
    _raise_any(_renamed_keys(params))
    config = read_section(params, "", Params)
    _raise_any(_reference_errors(config))
    _raise_any(_variant_errors(params, config.dataset.side))


def _raise_any(errors: Iterable[str]) -> None:
    if lines := dict.fromkeys(errors):
        raise PipelineError("\n".join(lines))


def _renamed_keys(params: Mapping[str, Any]) -> Iterator[str]:
    keys = list(_dotted_keys(params))
    for pattern, new in RENAMED.items():
        for key in fnmatch.filter(keys, pattern):
            yield f"{PARAMS_FILE}: {key}: renamed to {new}; see CHANGELOG.md"


def _dotted_keys(section: Mapping[str, Any], parent: str = "") -> Iterator[str]:
    for name, value in section.items():
        yield f"{parent}{name}"
        if isinstance(value, Mapping):
            yield from _dotted_keys(value, f"{parent}{name}.")


def _reference_errors(config: Params) -> Iterator[str]:
    """A line for each name that no section has, and for each key that another one requires."""
    if config.fetch is None and config.dataset.kind == "cifar10":
        yield f"{PARAMS_FILE}: fetch: Field required for dataset.kind {config.dataset.kind}"
    for recipe in config.recipes.keys() - config.temperatures.keys():
        close = suggest(recipe, config.temperatures)
        yield f"{PARAMS_FILE}: temperatures.{recipe}: Field required, as in recipes{close}"
    references = [("page.variant", config.page.variant, "variants")]
    for name, variant in config.variants.items():
        for key, section in REFERENCES:
            if key in variant:
                references.append((f"variants.{name}.{key}", variant[key], section))
    for key, name, section in references:
        known = getattr(config, section)
        if str(name) not in known:
            yield (
                f"{PARAMS_FILE}: {key}: expected a key of {section}, which are "
                f"{', '.join(known)}; found {shorten(name)}{suggest(name, known)}"
            )


def _variant_errors(params: Mapping[str, Any], size: int) -> Iterator[str]:
    """A line for each wrong value of a variant or its recipe, and for each network that does not
    fit its images, of at most `size` pixels a side."""
    for name in params["variants"]:
        try:
            config = read_training_config(params, name)
        except PipelineError as error:
            yield from str(error).splitlines()
            continue
        sizes, smallest = config.recipe.image_sizes(size), config.network.min_image_size(size)
        if min(sizes) < smallest or max(sizes) > size:
            yield (
                f"{PARAMS_FILE}: variants.{name}: expected images of at least {smallest} pixels a "
                f"side, which the network needs, and at most {size}, as in the data set, found "
                f"{min(sizes)} to {max(sizes)}; change widths, dataset.side or "
                f"recipes.{config.network.recipe}.progressive_resizing ({{}}: always full size)"
            )


if __name__ == "__main__":
    try:
        check(read_params())
    except PipelineError as error:
        sys.exit(str(error))
