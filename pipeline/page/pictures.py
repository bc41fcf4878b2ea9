"""Many small images in one, which a page shows by their place in it."""

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

ABREAST = 40  # at most
BLOCK = 16  # pixels a side of what JPEG stores together; no two images of so many share one
# Of all images of a sheet, so that the page stays one that can be sent: 4.2 MB without loss, and 2
# or 3 with.
LOSSLESS_PIXELS = 2**20
SMALL_PIXELS = 2**23


def lossless(images: np.ndarray) -> dict[str, Any]:
    """The sheet of `images` as PNG; not compressed, so that no library's zip decides bytes."""
    return _sheet(_levels(images), format="PNG", compress_level=0)


def small(images: np.ndarray, quality: int) -> dict[str, Any]:
    """The sheet as JPEG, of smaller images where they are many and large."""
    side = small_side(images.shape[1], len(images))
    return _sheet(_scaled(_levels(images), side), format="JPEG", quality=quality, subsampling=2)


def small_side(side: int, count: int) -> int:
    """How large so many images of `side` pixels, at least BLOCK, are in a small sheet."""
    largest = min(side, math.isqrt(SMALL_PIXELS // max(1, count)))
    return max(BLOCK, largest // BLOCK * BLOCK)


def _levels(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 255).astype(np.uint8)


def _scaled(levels: np.ndarray, side: int) -> np.ndarray:
    if levels.shape[1] == side or len(levels) == 0:
        return levels
    found = (Image.fromarray(one).resize((side, side), Image.Resampling.LANCZOS) for one in levels)
    return np.stack([np.asarray(image) for image in found])


def _sheet(levels: np.ndarray, **saved: Any) -> dict[str, Any]:
    """Images uint8 (N, S, S, 3), row by row, in base64, and how many stand abreast.

    Of none a single place, which is black: networks without mistakes have no examples to show.

    `saved` is for Pillow: a format and its options.
    """
    count, side = levels.shape[:2]
    rows = math.ceil(max(1, count) / ABREAST)
    columns = math.ceil(max(1, count) / rows)
    pixels = np.zeros((rows * columns, side, side, 3), np.uint8)
    pixels[:count] = levels
    grid = pixels.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    content = io.BytesIO()
    Image.fromarray(grid.reshape(rows * side, columns * side, 3)).save(content, **saved)
    return {
        "type": f"image/{saved['format'].lower()}",
        "data": base64.b64encode(content.getvalue()).decode(),
        "columns": columns,
        "side": side,
    }
