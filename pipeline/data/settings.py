"""The section `dataset` of params.yaml: what is learned from.

A new kind of data set is a class here and a line of DATASETS in pipeline/preprocess/stage.py.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import pydantic

from pipeline.base import params_file
from pipeline.data import cifar10

Framing: TypeAlias = Literal["centre", "whole"]
EvenOverClasses = Annotated[int, pydantic.Field(gt=0, multiple_of=len(cifar10.CLASSES))]
Share = Annotated[float, pydantic.Field(gt=0, lt=1)]
# A file or folder of the project, as dvc.yaml names it too.
Place = Annotated[str, pydantic.Field(min_length=1)]


class Cifar10(params_file.Section):
    """CIFAR-10: how many of its 50,000 training images to use for what; `seed` decides which."""

    kind: Literal["cifar10"]
    folder: Place
    train_images: EvenOverClasses
    validation_images: EvenOverClasses
    seed: params_file.Seed

    side: ClassVar[int] = cifar10.SIDE
    # Of photos that predict is given, so that nothing is squashed: a horse keeps its shape, and
    # only what stands at the edges is lost.
    framing: ClassVar[Framing] = "centre"

    @pydantic.model_validator(mode="after")
    def _enough(self) -> Self:
        """Refused here, and not only by `hold_out`, which runs after an hour of fetching."""
        available = cifar10.FILE_RECORDS * len(cifar10.TRAIN_FILES)
        if self.train_images + self.validation_images > available:
            raise ValueError(
                f"train_images and validation_images of at most {available:,} together"
            )
        return self


class Photos(params_file.Section):
    """A folder of photos, a folder a class, divided or not (pipeline/preprocess/folders.py)."""

    kind: Literal["photos"]
    folder: Place
    side: Annotated[
        int, pydantic.Field(ge=16, le=256)
    ]  # pixels, of the square that is learned from
    framing: Framing  # the centre square of a photo, or the whole with white beside it
    # Of the photos of a class, where the folder does not say which; `seed` decides which.
    validation_share: Share
    test_share: Share
    seed: params_file.Seed
    duplicates: Literal["keep", "drop"]  # a photo to train on that is in another split as well

    @pydantic.model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share of less than 1 together")
        return self


Dataset: TypeAlias = Cifar10 | Photos
AnyDataset = Annotated[Dataset, pydantic.Field(discriminator="kind")]


def read(params: Mapping[str, Any]) -> Dataset:
    """`dataset` by the schema of its kind; PipelineError when it is missing or wrong."""
    found: Dataset = params_file.section(params, "dataset", AnyDataset)
    return found
