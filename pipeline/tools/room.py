"""What training on a folder of photos needs of memory: said before any of them is read."""

import math

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.datasets.config import ImageFolderConfig
from pipeline.datasets.image_folder import ImagesBySplit
from pipeline.tools import memory

# GiB beside its images: `best` of study_params.yaml on 20,000 photos of 64 pixels took 1.9 on two
# threads, 2.2 on eight.
REST = 2.15
# A training's images in memory at its peak: while train and validation are joined, both and the
# whole; later the arrays and TensorFlow's copy of them.
TIMES_HELD = 2
PIXEL_BYTES = 4 * splits.CHANNELS  # float32
LEAST_SIDE = 16


def expected(found: ImagesBySplit, dataset: ImageFolderConfig) -> dict[str, int]:
    """How many photos each split will have, about, of those `found` by image_folder.list_images.

    Splits that have no folder get their share of train, as pipeline/datasets/splitting.py does.
    """
    given = {split: sum(map(len, photos.values())) for split, photos in found.items()}
    shares = {"validation": dataset.validation_share, "test": dataset.test_share}
    drawn = {
        split: round(share * given["train"])
        for split, share in shares.items()
        if split not in given
    }
    return {**given, **drawn, "train": given["train"] - sum(drawn.values())}


def needed(images: int, side: int) -> float:
    """Bytes that the largest training takes on so many images of `side` pixels."""
    return REST * memory.GIB + TIMES_HELD * PIXEL_BYTES * images * side**2


def check(found: ImagesBySplit, dataset: ImageFolderConfig) -> str:
    """A line on the photos `found` and the memory that training on them will need.

    Raises PipelineError with the largest side that fits where that is more than there is.
    """
    counts = expected(found, dataset)
    images = counts["train"] + counts["validation"]
    here, wanted = memory.allowed(), needed(images, dataset.side)
    if wanted <= here:
        return (
            f"{sum(counts.values()):,} photos of {len(found['train'])} classes, {dataset.side} "
            f"pixels a side: training needs up to {_gib(wanted)} of memory, {_gib(here)} are here"
        )
    largest = _largest_side(images, here)
    remedy = (
        f"expected at most {largest}, found {dataset.side}; lower it"
        if largest >= LEAST_SIDE
        else f"found {dataset.side}, and even {LEAST_SIDE} is too much; take fewer photos"
    )
    raise PipelineError(
        f"{params_file.PARAMS_FILE}: dataset.side: training on {images:,} photos of {dataset.side} "
        f"pixels a side needs up to {_gib(wanted)} of memory, and {_gib(here)} are here or "
        f"allowed: {remedy}, or give it more memory"
    )


def _largest_side(images: int, available: float) -> int:
    left = max(available - needed(0, 0), 0)
    return math.isqrt(int(left / (TIMES_HELD * PIXEL_BYTES * images)))


def _gib(count: float) -> str:
    return f"{count / memory.GIB:.1f} GiB"
