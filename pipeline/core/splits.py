"""The splits and class names of data/processed, as every stage after preprocess reads them."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core import paths
from pipeline.core.errors import PipelineError

NAMES = ("train", "validation", "test")
CHANNELS = 3
REMEDY = "delete the file, if there is one, and run `dvc repro preprocess` to make it again"


class Split(NamedTuple):
    """Images float32 (N, S, S, 3) in [0, 1] and one-hot labels float32 (N, K)."""

    images: np.ndarray
    labels: np.ndarray


def read_split(name: str, like: Split | None = None, root: Path = Path()) -> Split:
    """The split `name`, validated; its images have the size and its labels the classes of `like`.

    Raises PipelineError when its file below `root` is missing, damaged or holds other arrays.
    """
    path = root / paths.split(name)
    try:
        # Given a path, np.load leaves the file open when it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            split = Split(archive["images"], archive["labels"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"{path}: expected the arrays images and labels, found {error}; {REMEDY}"
        ) from error
    return validate_arrays(split, f"{paths.split(name)}: ", REMEDY, like)


def validate_arrays(split: Split, source: str, remedy: str, like: Split | None = None) -> Split:
    """`split`; PipelineError, which begins with `source`, unless it is well-formed.

    Checks shapes, dtypes, missing values, the range of the images and that labels are one-hot.
    Needs two passes over the images and no copy of them.
    """
    images, labels = split
    reference = split if like is None else like
    count = len(images) if images.ndim else "N"
    side = reference.images.shape[1] if reference.images.ndim == 4 else "S"
    classes = reference.labels.shape[1] if reference.labels.ndim == 2 else "K"

    def expect(holds: bool | np.bool_, field: str, expected: str, found: object) -> None:
        if not holds:
            raise PipelineError(f"{source}{field}: expected {expected}, found {found}; {remedy}")

    for field, array, shape in (
        ("images", images, (count, side, side, CHANNELS)),
        ("labels", labels, (count, classes)),
    ):
        expect(array.dtype == np.float32, field, "dtype float32", array.dtype)
        expected = f"shape ({', '.join(map(str, shape))}) with at least one image"
        expect(array.shape == shape and array.size > 0, field, expected, array.shape)
        low, high = array.min(), array.max()  # NaN where any value is
        if np.isnan(low):
            expect(False, field, "no missing values", f"{np.isnan(array).sum()} NaN")
        expect(low >= 0 and high <= 1, field, "values from 0 to 1", f"{low:g} to {high:g}")
    invalid = np.flatnonzero((np.count_nonzero(labels, axis=1) != 1) | (labels.max(axis=1) != 1))
    if len(invalid):
        found = f"{labels[invalid[0]].tolist()} in row {invalid[0]}"
        expect(False, "labels", "one-hot rows", found)
    return split


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
