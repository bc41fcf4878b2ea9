"""The section `dataset` of params.yaml, validated.

A new kind of data set is a class here and a line of LOADERS in pipeline/datasets/preprocess.py.
"""

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

import pydantic

from pipeline.core.params import ConfigModel, Seed
from pipeline.datasets import cifar10

# The centre square of an image, or the whole image padded with white to a square.
CropMode: TypeAlias = Literal["centre", "whole"]
ImageCount = Annotated[int, pydantic.Field(gt=0, multiple_of=len(cifar10.CLASSES))]
Share = Annotated[float, pydantic.Field(gt=0, lt=1)]
FolderName = Annotated[str, pydantic.Field(min_length=1)]  # relative to the project, as in dvc.yaml


class Cifar10Config(ConfigModel):
    """CIFAR-10: numbers of training and validation images, and the seed of their split."""

    kind: Literal["cifar10"]
    folder: FolderName
    train_images: ImageCount
    validation_images: ImageCount
    seed: Seed

    side: ClassVar[int] = cifar10.SIDE
    crop_mode: ClassVar[CropMode] = "centre"  # of photos for predict

    @pydantic.model_validator(mode="after")
    def _check_total(self) -> Self:
        available = cifar10.FILE_RECORDS * len(cifar10.TRAIN_FILES)
        if self.train_images + self.validation_images > available:
            raise ValueError(f"train_images and validation_images of at most {available} together")
        return self


class ImageFolderConfig(ConfigModel):
    """A folder of images; the shares are of each class, for the splits that the folder lacks."""

    kind: Literal["photos"]
    folder: FolderName
    side: Annotated[int, pydantic.Field(ge=16, le=256)]  # pixels
    crop_mode: CropMode
    validation_share: Share
    test_share: Share
    seed: Seed
    duplicates: Literal["keep", "drop"]  # of images that are in two splits

    @pydantic.model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share of less than 1 together")
        return self


DatasetConfig: TypeAlias = Annotated[
    Cifar10Config | ImageFolderConfig, pydantic.Field(discriminator="kind")
]
