"""The three parts of the data as every stage after preprocess sees them, read and checked."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.base import files
from pipeline.base.errors import PipelineError

NAMES = ("train", "validation", "test")
CHANNELS = 3


class Split(NamedTuple):
    """Images float32 (N, S, S, 3) in [0, 1] and one-hot labels float32 (N, K)."""

    images: np.ndarray
    labels: np.ndarray


def path(name: str) -> Path:
    """Where the split `name` is kept."""
    return Path("data/processed", f"{name}.npz")


def read(name: str, like: Split | None = None) -> Split:
    """The split `name`, validated; its images have the side and its labels the classes of `like`.

    PipelineError when its file is missing, damaged or wrong.
    """
    split = Split(*files.read_arrays(path(name), *Split._fields))
    validate(split, name, like)
    return split


def validate(split: Split, name: str, like: Split | None = None) -> None:
    """Raise PipelineError, naming the file of the split `name`, unless `split` is as promised.

    Checks shapes, dtypes, missing values, the range of the images and that every label has a
    single 1 among zeros. Needs two passes over the images and no copy of them.
    """
    images, labels = split
    alike = split if like is None else like
    count = len(images) if images.ndim else "N"
    side = alike.images.shape[1] if alike.images.ndim == 4 else "S"
    classes = alike.labels.shape[1] if alike.labels.ndim == 2 else "K"
    for field, array, shape in (
        ("images", images, (count, side, side, CHANNELS)),
        ("labels", labels, (count, classes)),
    ):
        _expect(array.dtype == np.float32, name, field, "dtype float32", array.dtype)
        expected = f"shape ({', '.join(map(str, shape))}) with at least one image"
        _expect(array.shape == shape and array.size > 0, name, field, expected, array.shape)
        low, high = array.min(), array.max()  # NaN where any value is
        if np.isnan(low):
            _expect(False, name, field, "no missing values", f"{np.isnan(array).sum()} NaN")
        in_range = low >= 0 and high <= 1
        _expect(in_range, name, field, "values from 0 to 1", f"{low:g} to {high:g}")
    odd = np.flatnonzero((np.count_nonzero(labels, axis=1) != 1) | (labels.max(axis=1) != 1))
    if len(odd):
        found = f"{labels[odd[0]].tolist()} in row {odd[0]}"
        _expect(False, name, "labels", "a single 1 among zeros", found)


def _expect(holds: bool | np.bool_, name: str, field: str, expected: str, found: object) -> None:
    if not holds:
        raise PipelineError(
            f"{path(name)}: {field}: expected {expected}, found {found}; "
            "delete the file and run `dvc repro preprocess` to make it again"
        )
