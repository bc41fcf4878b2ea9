"""Validation of the whole params.yaml: `python -m pipeline.tools.config` prints every error.

Run before every stage and by make. A stage reads its own sections through pipeline/core/params.py,
so that it does not depend on the settings of others.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pydantic

from pipeline.core.errors import PipelineError
from pipeline.core.params import (
    PARAMS_FILE,
    ConfigModel,
    lookup,
    one_of,
    read_params,
    read_section,
    shorten,
)
from pipeline.datasets.backbones import BACKBONES
from pipeline.datasets.config import BackboneConfig, DatasetConfig
from pipeline.evaluation import config as evaluation
from pipeline.page.page_data import Page
from pipeline.tools import processes
from pipeline.training.variant import Numerics, read_training_config

# Keys of a variant whose value is a key of a section.
REFERENCES = (
    ("recipe", "recipes"),
    ("recipe", "temperatures"),
    ("numerics", "numerics"),
    ("network", "test_time_augmentation"),
)
FLIPS = ("flip_horizontal", "alternating_flip")  # the augmentations of features
# Part of stage names, DVC's dotted keys and file names, which some file systems take for the same
# in upper and lower case.
Name = Annotated[str, pydantic.Field(pattern="^[a-z][a-z0-9_-]{0,99}$")]
NotEmpty = pydantic.Field(min_length=1)


class Params(ConfigModel):
    """params.yaml; its recipes and variants are validated by `read_training_config`."""

    dataset: DatasetConfig
    backbones: dict[Annotated[Name, one_of(BACKBONES)], BackboneConfig]
    inference: evaluation.Inference
    numerics: Annotated[dict[Name, Numerics], NotEmpty]
    recipes: Annotated[dict[Name, dict[str, Any]], NotEmpty]
    variants: Annotated[dict[Name, dict[str, Any]], NotEmpty]
    test_time_augmentation: dict[Name, evaluation.TestTimeAugmentation]
    temperatures: dict[Name, evaluation.Temperature]
    predict: evaluation.Predict
    compare: evaluation.Compare
    page: Page


def check(params: Mapping[str, Any]) -> None:
    """Raise PipelineError with a line for every wrong value in `params`.

    References between sections are checked after every section is valid, then each variant.
    """
    config = read_section(params, "", Params)
    errors = list(_reference_errors(config)) or list(_variant_errors(params, config.dataset.side))
    if errors:
        raise PipelineError("\n".join(dict.fromkeys(errors)))


def _reference_errors(config: Params) -> Iterator[str]:
    """A line for each value that should be a key of a section and is none."""
    references = [("page.variant", config.page.variant, "variants")]
    references += [("page.compared_with", name, "variants") for name in config.page.compared_with]
    for name, variant in config.variants.items():
        for key, section in REFERENCES:
            if key in variant:
                references.append((f"variants.{name}.{key}", variant[key], section))
    for key, name, section in references:
        known = getattr(config, section)
        if str(name) not in known:
            yield (
                f"{PARAMS_FILE}: {key}: expected a key of {section}, which are "
                f"{', '.join(known)}; found {shorten(name)}"
            )


def _variant_errors(params: Mapping[str, Any], size: int) -> Iterator[str]:
    """A line for each wrong value of a variant or its recipe; images have `size` pixels a side."""
    for name in params["variants"]:
        try:
            config = read_training_config(params, name)
        except PipelineError as error:
            yield from str(error).splitlines()
            continue
        recipe, data, network = config.network.recipe, config.network.data, config.network.network
        choices = list(params["backbones"]) if network == "linear" else ["processed"]
        if data not in choices:
            known = " or ".join(choices) or "a backbone, of which there is none"
            yield (
                f"{PARAMS_FILE}: variants.{name}.data: expected {known} for network {network}, "
                f"found {shorten(data)}"
            )
        if network == "linear":
            others = config.network.augmentation.keys() - {"kind", *FLIPS}
            keys = [f"variants.{name}.augmentation.{key}" for key in sorted(others)]
            for key in [*keys, "test_time_augmentation.linear.shift"]:
                if amount := lookup(params, key):
                    yield f"{PARAMS_FILE}: {key}: expected 0 for features, found {shorten(amount)}"
        if params["temperatures"][recipe] is None and config.recipe.train_on != "train":
            yield (
                f"{PARAMS_FILE}: temperatures.{recipe}: expected a number, as recipes.{recipe}."
                f"train_on {config.recipe.train_on} holds out no image to fit it on, found null"
            )
        sizes, smallest = config.recipe.image_sizes(size), config.network.min_image_size(size)
        if min(sizes) < smallest or max(sizes) > size:
            yield (
                f"{PARAMS_FILE}: variants.{name}: expected images of at least {smallest} pixels a "
                f"side, which the network needs, and at most {size}, as in the data set, found "
                f"{min(sizes)} to {max(sizes)}; change widths, dataset.side or "
                f"recipes.{recipe}.progressive_resizing ({{}}: always full size)"
            )


if __name__ == "__main__":
    processes.run_command(lambda: check(read_params()))
