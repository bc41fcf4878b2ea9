"""The splits and class names of data/processed, as every stage after preprocess reads them."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core import paths
from pipeline.core.errors import PipelineError

NAMES = ("train", "validation", "test")
REMEDY = "delete the file, if there is one, and run `dvc repro preprocess` to make it again"


class Split(NamedTuple):
    """Images float32 (N, S, S, 3) in [0, 1] and one-hot labels float32 (N, K)."""

    images: np.ndarray
    labels: np.ndarray


def read_split(name: str, like: Split | None = None, root: Path = Path()) -> Split:
    """The split `name`; its images have the size and its labels the classes of `like`.

    Raises PipelineError when its file below `root` is missing, damaged or holds other arrays.
    """
    path = root / paths.split(name)
    try:
        # Given a path, np.load leaves the file open when it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            split = Split(archive["images"], archive["labels"])
        _check(split, split if like is None else like)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"{path}: expected the arrays images and labels, found {error}; {REMEDY}"
        ) from error
    return split


def _check(split: Split, like: Split) -> None:
    """Raise ValueError unless the arrays are as Split says, and of the sizes of `like`."""
    images, labels = split
    side, classes = like.images.shape[1], like.labels.shape[1]
    shapes = (len(images), side, side, 3), (len(images), classes)
    if (images.shape, labels.shape) != shapes or len(images) == 0:
        raise ValueError(f"shapes {images.shape} and {labels.shape} for {shapes[0]}, {shapes[1]}")
    if {images.dtype, labels.dtype} != {np.dtype(np.float32)}:
        raise ValueError(f"dtypes {images.dtype} and {labels.dtype} for float32")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"values of images from {low:g} to {high:g}, not 0 to 1")
    if not ((np.count_nonzero(labels, axis=1) == 1) & (labels.max(axis=1) == 1)).all():
        raise ValueError("labels that are not one-hot")


def read_class_names(root: Path = Path()) -> tuple[str, ...]:
    """The class names in the order of the labels; PipelineError when their file has none."""
    path = root / paths.CLASS_NAMES
    try:
        names = tuple(filter(None, path.read_text(encoding="utf-8").split("\n")))
        problem = "an empty file"
    except (OSError, ValueError) as error:
        names, problem = (), " ".join(str(error).split())
    if not names:
        raise PipelineError(f"{path}: expected the class names, found {problem}; {REMEDY}")
    return names
