"""Training recipes: the settings that every optimizer needs. Imports no TensorFlow.

A file of pipeline/optimizers has a class `Recipe` that adds the optimizer's own settings.
"""

import re
from typing import Annotated, Any, Literal, Self

import pydantic

from pipeline.core.params import ConfigModel

Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
# Far more than is ever meant, and far from where libraries overflow.
Count = Annotated[int, pydantic.Field(gt=0, le=1_000_000)]
_SIZE_KEY = re.compile(r"px([1-9]\d{0,3})")


class BaseRecipe(ConfigModel):
    """How a variant is trained, whatever its optimizer."""

    learning_rate: pydantic.PositiveFloat
    loss: Literal["categorical_crossentropy"]
    label_smoothing: Fraction
    epochs: Count
    # Progressive resizing: image size, as px24, to the number of epochs at that size, the smallest
    # first; the remaining epochs have full-size images.
    progressive_resizing: dict[str, Count]
    batch_size: Count  # images per optimizer step
    micro_batch_size: Count  # images per gradient; a step accumulates those of its batch
    parallel_micro_batches: Annotated[int, pydantic.Field(gt=0, le=64)]
    train_on: Literal["train", "train_and_validation"]
    validation_batch_size: Count | None  # images; null where none are held out
    early_stopping: Count | None  # patience in epochs, on the validation loss
    class_weight: Literal["balanced"] | None  # inverse to class frequency, or null for equal

    def image_sizes(self, full: int) -> tuple[int, ...]:
        """The side of the images in pixels, by epoch, where `full` is that of the data set."""
        small = [
            int(key[2:]) for key, epochs in self.progressive_resizing.items() for _ in range(epochs)
        ]
        return (*sorted(small), *[full] * (self.epochs - len(small)))

    def build_optimizer(self, steps: int) -> Any:
        """The Keras optimizer for a training of `steps` steps."""
        raise NotImplementedError

    @pydantic.field_validator("progressive_resizing")
    @classmethod
    def _check_sizes(cls, value: dict[str, int]) -> dict[str, int]:
        if not all(map(_SIZE_KEY.fullmatch, value)):
            raise ValueError("sizes in pixels as keys, such as px24")
        return value

    @pydantic.model_validator(mode="after")
    def _check_consistency(self) -> Self:
        resized = sum(self.progressive_resizing.values())
        if resized > self.epochs:
            raise ValueError(
                f"progressive_resizing of at most {self.epochs} epochs, as in epochs, not {resized}"
            )
        if self.micro_batch_size > self.batch_size:
            raise ValueError(f"micro_batch_size of at most batch_size, {self.batch_size}")
        if self.train_on == "train":
            if self.validation_batch_size is None:
                raise ValueError(
                    "validation_batch_size to be a number of images where train_on is train"
                )
        elif self.validation_batch_size is not None or self.early_stopping is not None:
            raise ValueError(
                "validation_batch_size and early_stopping to be null where train_on is "
                "train_and_validation, which holds out no images"
            )
        return self
