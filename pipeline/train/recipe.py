"""How a variant is trained, as frozen typed settings. No TensorFlow here, as in variant.py."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from pipeline.base import params_file
from pipeline.train.variant import Fraction

# More than anybody means, and far from where libraries overflow.
Count = Annotated[int, pydantic.Field(gt=0, le=1_000_000)]
Parts = Annotated[int, pydantic.Field(gt=0, le=64)]  # each stands in the graph by itself
_SIDE_KEY = re.compile(r"px([1-9]\d{0,3})")


class Recipe(params_file.Section):
    """What every recipe says, whatever its optimizer."""

    optimizer: str
    learning_rate: pydantic.PositiveFloat
    loss: Literal["categorical_crossentropy"]
    label_smoothing: Fraction
    epochs: Count
    # Image side, as px24, to how many of the first epochs have it, the smallest side first; the
    # other epochs have whole images.
    growth: dict[str, Count]
    batch_size: Count  # images a step
    micro_batch_size: Count  # images a gradient; a step adds up those of its batch
    micro_batches_at_once: Parts  # a core each, where there are so many
    train_on: Literal["train", "train_and_validation"]
    validation_batch_size: Count | None  # images; null where none are held out
    early_stopping: Count | None  # epochs of patience on validation loss
    # How much an image counts in the loss: as any other where null, else so that each class
    # counts as much as any other, and an image 1 on average.
    class_weights: Literal["balanced"] | None

    def sides(self, whole: int) -> tuple[int, ...]:
        """The images' side in pixels, epoch by epoch, where whole ones have `whole`."""
        small = [int(key[2:]) for key in self.growth for _ in range(self.growth[key])]
        return (*sorted(small), *[whole] * self.epochs)[: self.epochs]

    @pydantic.field_validator("growth")
    @classmethod
    def _named_by_side(cls, value: dict[str, int]) -> dict[str, int]:
        if not all(map(_SIDE_KEY.fullmatch, value)):
            raise ValueError("sides in pixels as keys, such as px24")
        return value

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
    """Training by an optimizer of Keras at its defaults, at a constant learning rate."""

    optimizer: Literal["adam", "sgd"]


class MuonRecipe(Recipe):
    """Training by optimizers/muon.py; all learning rates fall linearly to 0 over the epochs."""

    optimizer: Literal["muon"]  # its learning_rate and momentum are those of convolution kernels
    momentum: Fraction
    bias_learning_rate: pydantic.PositiveFloat
    head_learning_rate: pydantic.PositiveFloat  # of dense kernels
    sgd_momentum: Fraction  # of biases and dense kernels, Nesterov
    weight_decay: Fraction  # of the same, the share a step takes away at the full learning rate


AnyRecipe = Annotated[KerasRecipe | MuonRecipe, pydantic.Field(discriminator="optimizer")]


def read(params: Mapping[str, Any], name: str) -> Recipe:
    """`recipes.NAME` by the schema of its optimizer; PipelineError when it is missing or wrong."""
    found: Recipe = params_file.section(params, f"recipes.{name}", AnyRecipe)
    return found
