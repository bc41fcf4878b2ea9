"""What a variant is and how it is trained, as frozen typed settings. No TensorFlow here, so that
the whole of params.yaml is checked within two seconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from pipeline import config

Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
Amount = Annotated[float, pydantic.Field(gt=0, le=1)]
# Two widths of 4,096 are 150 million weights: a zero too many should not end in "out of memory".
Width = Annotated[int, pydantic.Field(gt=0, le=4096)]
Augmentation = Literal["flip_horizontal", "flip_vertical", "rotation", "zoom"]


class Recipe(config.Section):
    """How a network is fitted: `recipes.NAME`."""

    optimizer: Literal["adam", "sgd"]
    learning_rate: pydantic.PositiveFloat
    loss: Literal["categorical_crossentropy"]
    epochs: pydantic.PositiveInt
    batch_size: pydantic.PositiveInt  # images
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**31)]
    early_stopping: pydantic.PositiveInt | None  # epochs of patience on validation loss


class PlainVariant(config.Section):
    """A variant of the `plain` network: convolutions, one hidden dense layer, a softmax."""

    recipe: str
    network: Literal["plain"]
    widths: Annotated[tuple[Width, ...], pydantic.Field(min_length=1, max_length=5)]
    dense: Width  # units of the hidden layer
    dropout: Fraction
    augmentation: dict[Augmentation, Amount]

    @pydantic.field_validator("widths", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


# The knobs that each network of pipeline/networks.py takes. A new topology adds a row.
VARIANTS: dict[str, type[PlainVariant]] = {"plain": PlainVariant}


def variant(params: Mapping[str, Any], name: str) -> PlainVariant:
    """`variants.NAME` by the schema of the network it names; PipelineError when that is unknown."""
    network: Any = params
    for key in ("variants", name, "network"):
        network = network.get(key) if isinstance(network, Mapping) else None
    # An unknown network is reported by the plain schema's own check of `network`.
    schema = VARIANTS.get(network, PlainVariant) if isinstance(network, str) else PlainVariant
    return config.section(params, f"variants.{name}", schema)


def recipe(params: Mapping[str, Any], name: str) -> Recipe:
    """`recipes.NAME`; PipelineError when there is none of that name."""
    return config.section(params, f"recipes.{name}", Recipe)
