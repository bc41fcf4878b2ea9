"""The splits and class names in data/, as every stage after preprocess and features reads them."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core import paths
from pipeline.core.errors import PipelineError

NAMES = ("train", "validation", "test")
REMEDY = "delete the file, if there is one, and run `dvc repro {}` to make it again"
# The name of the layer whose output a backbone's features are. What follows it is the head.
FEATURES = "features"


class Split(NamedTuple):
    """Images float32 (N, S, S, 3) in [0, 1], or features, and one-hot labels float32 (N, K).

    Features are float32 (N, H, 2 W, C), those of an image and, from right to left, those of its
    mirror image: what flips images exchanges the two.
    """

    images: np.ndarray
    labels: np.ndarray


def read_split(
    name: str, like: Split | None = None, root: Path = Path(), *, data: str = "processed"
) -> Split:
    """The split `name`; its images have the size and its labels the classes of `like`.

    With the name of a backbone as `data` its features. Raises PipelineError when its file below
    `root` is missing, damaged or holds other arrays.
    """
    path = root / paths.split(name, data)
    try:
        # Given a path, np.load leaves the file open when it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            split = Split(archive["images"], archive["labels"])
        _check(split, split if like is None else like, are_pixels=data == "processed")
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
        stage = "preprocess" if data == "processed" else f"features@{data}"
        raise PipelineError(
            f"{path}: expected the arrays images and labels, found {error}; {REMEDY.format(stage)}"
        ) from error
    return split


def read_backbone(data: str, part: str = "backbone") -> bytes:
    """The .keras file of the backbone `data`, which its features of train come with: of the frozen
    part, or of the one that is trained, "trained_stages"."""
    with paths.split("train", data).open("rb") as file, np.load(file) as archive:
        return bytes(archive[part])


def _check(split: Split, like: Split, *, are_pixels: bool) -> None:
    """Raise ValueError unless the arrays are as Split says, and of the sizes of `like`."""
    images, labels = split
    shapes = (len(images), *like.images.shape[1:]), (len(images), *like.labels.shape[1:])
    if (images.shape, labels.shape) != shapes or len(images) == 0:
        raise ValueError(f"shapes {images.shape} and {labels.shape} for {shapes[0]}, {shapes[1]}")
    if {images.dtype, labels.dtype} != {np.dtype(np.float32)}:
        raise ValueError(f"dtypes {images.dtype} and {labels.dtype} for float32")
    if not ((np.count_nonzero(labels, axis=1) == 1) & (labels.max(axis=1) == 1)).all():
        raise ValueError("labels that are not one-hot")
    if are_pixels and images.shape != (len(images), images.shape[1], images.shape[1], 3):
        raise ValueError(f"shape {images.shape}, not square images of three channels")
    low, high = images.min(), images.max()
    if are_pixels and not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"values of images from {low:g} to {high:g}, not 0 to 1")


def read_class_names(root: Path = Path()) -> tuple[str, ...]:
    """The class names in the order of the labels; PipelineError when their file has none."""
    path = root / paths.CLASS_NAMES
    try:
        if names := tuple(filter(None, path.read_text(encoding="utf-8").split("\n"))):
            return names
        problem = "an empty file"
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
    remedy = REMEDY.format("preprocess")
    raise PipelineError(f"{path}: expected the class names, found {problem}; {remedy}")
