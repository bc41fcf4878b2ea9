"""What a variant is and how it is trained, as frozen typed settings. No TensorFlow here, so that
the whole of params.yaml is checked within two seconds."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from pipeline import config
from pipeline.cifar10 import SIDE
from pipeline.runtime import Hardware

Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
Amount = Annotated[float, pydantic.Field(gt=0, le=1)]
# Two widths of 4,096 are 150 million weights: a zero too many should not end in "out of memory".
Width = Annotated[int, pydantic.Field(gt=0, le=4096)]
Augmentation = Literal[
    "flip_horizontal", "flip_vertical", "flip_evenly", "shift", "rotation", "zoom"
]
Seed = Annotated[int, pydantic.Field(ge=0, lt=2**31)]
BFLOAT16_ISAS = ("AVX512_CORE_BF16", "DEFAULT")
_SIDE_KEY = re.compile(r"px(\d+)")


class Recipe(Hardware):
    """What every recipe says, whatever its optimizer."""

    optimizer: str
    learning_rate: pydantic.PositiveFloat
    loss: Literal["categorical_crossentropy"]
    label_smoothing: Fraction
    epochs: pydantic.PositiveInt
    batch_size: pydantic.PositiveInt  # images a step
    micro_batch_size: pydantic.PositiveInt  # images a gradient; a step adds up those of its batch
    train_on: Literal["train", "train_and_validation"]
    validation_batch_size: pydantic.PositiveInt | None  # images; null where none are held out
    early_stopping: pydantic.PositiveInt | None  # epochs of patience on validation loss
    precision: Literal["float32", "bfloat16"]  # of convolutions; weights are always float32

    @property
    def sides(self) -> tuple[int, ...]:
        """The images' side in pixels, epoch by epoch."""
        return (SIDE,) * self.epochs

    @pydantic.model_validator(mode="after")
    def _has_instructions(self) -> Self:
        if self.precision == "bfloat16" and self.cpu_isa not in BFLOAT16_ISAS:
            raise ValueError(
                f"cpu_isa to be {' or '.join(BFLOAT16_ISAS)} where precision is bfloat16, which "
                "oneDNN computes as fast with no others"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _validates_on_held_out_images(self) -> Self:
        if self.train_on == "train":
            if self.validation_batch_size is None:
                raise ValueError(
                    "validation_batch_size to be a number of images where train_on is train"
                )
        elif self.validation_batch_size is not None or self.early_stopping is not None:
            raise ValueError(
                "validation_batch_size and early_stopping to be null where train_on is "
                "train_and_validation, which leaves no image to watch the loss on"
            )
        return self


class KerasRecipe(Recipe):
    """Training by one of Keras's own optimizers at its defaults, at a constant learning rate."""

    optimizer: Literal["adam", "sgd"]


class MuonRecipe(Recipe):
    """Training by pipeline/muon.py; all learning rates fall linearly to 0 over the epochs."""

    optimizer: Literal["muon"]  # its learning_rate and momentum are those of convolution kernels
    momentum: Fraction
    bias_learning_rate: pydantic.PositiveFloat
    head_learning_rate: pydantic.PositiveFloat  # of dense kernels
    sgd_momentum: Fraction  # of biases and dense kernels, Nesterov
    weight_decay: Fraction  # of the same, the share a step takes away at the full learning rate
    # Image side, as px24, to how many of the first epochs have it, the smallest side first; the
    # other epochs have whole images.
    growth: dict[str, pydantic.PositiveInt]

    @pydantic.field_validator("growth")
    @classmethod
    def _sides(cls, value: dict[str, int]) -> dict[str, int]:
        for key in value:
            match = _SIDE_KEY.fullmatch(key)
            if not match or not 16 <= int(match[1]) < SIDE:  # three poolings need 16 pixels
                raise ValueError(f"sides from px16 to px{SIDE - 1} as keys")
        return value

    @property
    def sides(self) -> tuple[int, ...]:
        small = [int(key[2:]) for key in self.growth for _ in range(self.growth[key])]
        return (*sorted(small), *[SIDE] * self.epochs)[: self.epochs]


class Variant(config.Section):
    """What every variant says, whatever its network."""

    recipe: str
    network: str
    seed: Seed  # of the weights, the order of the images and their augmentation
    augmentation: dict[Augmentation, Amount]

    @pydantic.field_validator("widths", mode="before", check_fields=False)
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class PlainVariant(Variant):
    """A variant of the `plain` network: convolutions, one hidden dense layer, a softmax."""

    network: Literal["plain"]
    widths: Annotated[tuple[Width, ...], pydantic.Field(min_length=1, max_length=5)]
    dense: Width  # units of the hidden layer
    dropout: Fraction


class WhitenedVariant(Variant):
    """A variant of the `whitened` network: fixed whitening, three blocks of convolutions."""

    network: Literal["whitened"]
    widths: Annotated[tuple[Width, ...], pydantic.Field(min_length=3, max_length=3)]
    normalization_momentum: Fraction  # of the moving statistics, a micro-batch


# The knobs that each network of pipeline/networks.py takes. A new topology adds a row.
VARIANTS: dict[str, type[Variant]] = {"plain": PlainVariant, "whitened": WhitenedVariant}
# The knobs that each optimizer takes.
RECIPES: dict[str, type[Recipe]] = {"adam": KerasRecipe, "sgd": KerasRecipe, "muon": MuonRecipe}


def variant(params: Mapping[str, Any], name: str) -> Variant:
    """`variants.NAME` by the schema of the network it names; PipelineError when that is unknown."""
    # An unknown network is reported by the plain schema's own check of `network`.
    schema = _chosen(params, ("variants", name, "network"), VARIANTS, PlainVariant)
    return config.section(params, f"variants.{name}", schema)


def recipe(params: Mapping[str, Any], name: str) -> Recipe:
    """`recipes.NAME` by the schema of its optimizer; PipelineError when there is none."""
    schema = _chosen(params, ("recipes", name, "optimizer"), RECIPES, KerasRecipe)
    return config.section(params, f"recipes.{name}", schema)


def _chosen(params: Any, keys: tuple[str, ...], schemas: Mapping[str, Any], other: Any) -> Any:
    """The schema that the name at `keys` of `params` stands for, or `other`."""
    for key in keys:
        params = params.get(key) if isinstance(params, Mapping) else None
    return schemas.get(params, other) if isinstance(params, str) else other
