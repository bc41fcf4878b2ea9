"""Validation of the whole params.yaml: `python -m pipeline.tools.config` prints every error.

Run before every stage and by make. A stage reads its own sections through pipeline/core/params.py,
so that it does not depend on the settings of others.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pydantic

from pipeline.core.errors import PipelineError
from pipeline.core.params import ConfigModel, lookup, read_params, read_section, shorten
from pipeline.datasets.backbones import BackboneConfig
from pipeline.datasets.config import DatasetConfig
from pipeline.evaluation import config as evaluation
from pipeline.page.page_data import Page
from pipeline.tools import processes
from pipeline.training.variant import Numerics, read_training_config

# Keys of a variant whose value is a key of a section.
REFERENCES = (
    *(("recipe", "recipes"), ("recipe", "temperatures"), ("numerics", "numerics")),
    ("network", "test_time_augmentation"),
)
# Part of stage names, DVC's dotted keys and file names, which some file systems take for the same
# in upper and lower case.
Name = Annotated[str, pydantic.Field(pattern="^[a-z][a-z0-9_-]{0,99}$")]
NotEmpty = pydantic.Field(min_length=1)


class Params(ConfigModel):
    """params.yaml; its recipes and variants are validated by `read_training_config`."""

    dataset: DatasetConfig
    backbones: dict[Name, BackboneConfig]
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
            yield _line(key, f"a key of {section}, which are {', '.join(known)}", name)


def _variant_errors(params: Mapping[str, Any], size: int) -> Iterator[str]:
    """A line for each wrong value of a variant or its recipe; images have `size` pixels a side."""
    for name in params["variants"]:
        try:
            config = read_training_config(params, name)
        except PipelineError as error:
            yield from str(error).splitlines()
            continue
        recipe, data, network = config.network.recipe, config.network.data, config.network.network
        choices = list(params["backbones"]) if network == "transfer" else ["processed"]
        if data not in choices:
            yield _line(f"variants.{name}.data", f"one of {choices} for network {network}", data)
        if network == "transfer":  # its features can only be flipped
            flips = {"kind", "flip_horizontal", "alternating_flip"}
            others = sorted(config.network.augmentation.keys() - flips)
            keys = [f"variants.{name}.augmentation.{key}" for key in others]
            for key in [*keys, "test_time_augmentation.transfer.shift"]:
                if amount := lookup(params, key):
                    yield _line(key, "0 for features", amount)
        if params["temperatures"][recipe] is None and config.recipe.train_on != "train":
            expected = f"a number, as recipes.{recipe}.train_on holds out no image to fit it on"
            yield _line(f"temperatures.{recipe}", expected, None)
        sizes, smallest = config.recipe.image_sizes(size), config.network.min_image_size(size)
        if min(sizes) < smallest or max(sizes) > size:
            expected = f"images of {smallest} (for the network) to {size} (of the data) pixels"
            yield (
                f"{_line(f'variants.{name}', expected, [min(sizes), max(sizes)])}; change widths, "
                f"dataset.side or recipes.{recipe}.progressive_resizing ({{}}: always full size)"
            )


def _line(key: str, expected: str, found: object) -> str:
    return f"params.yaml: {key}: expected {expected}, found {shorten(found)}"


if __name__ == "__main__":
    processes.run_command(lambda: check(read_params()))
