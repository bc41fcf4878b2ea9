"""Which test images a variant has right: a small picture, a white pixel for each, in their order.

Whether one variant is surely better than another is told by the images on which they differ. A
picture, as DVC shows those among its plots; not compressed, so that no library's zip decides bytes.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.base import files
from pipeline.base.errors import PipelineError

WIDTH = 100


def write(path: Path, right: np.ndarray) -> None:
    """`right`, bool (N,), at `path`; the rest of the last row is black."""
    pixels = np.zeros((math.ceil(len(right) / WIDTH), WIDTH), bool)
    pixels.ravel()[: len(right)] = right
    image = Image.fromarray(pixels)
    files.write(path, lambda temporary: image.save(temporary, compress_level=0))


def read(path: Path, count: int, remedy: str) -> np.ndarray:
    """The first `count` pixels, bool (count,).

    Raises PipelineError that ends in `remedy` when the file is missing or holds another number.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        found = getattr(error, "strerror", None) or "something else"
    else:
        found = f"{image.width} x {image.height} of mode {image.mode}"
        if pixels.dtype == bool and pixels.shape == (math.ceil(count / WIDTH), WIDTH):
            return pixels.ravel()[:count]
    raise PipelineError(
        f"{path}: expected a picture of a black or white pixel for each of {count} test images, "
        f"{WIDTH} a row, found {found}; {remedy}"
    )
