"""Many small images in one, which a page shows by their place in it."""

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

COLUMNS = 40


def sheet(images: np.ndarray, **saved: Any) -> str:
    """`images` float32 (N, H, W, 3) in [0, 1], N > 0, row by row COLUMNS abreast, as a data URI.

    `saved` is for Pillow: a format and its options.
    """
    count, height, width, _ = images.shape
    rows = math.ceil(count / COLUMNS)
    pixels = np.zeros((rows * COLUMNS, height, width, 3), np.uint8)
    pixels[:count] = np.rint(images * 255)
    grid = pixels.reshape(rows, COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4)
    content = io.BytesIO()
    Image.fromarray(grid.reshape(rows * height, COLUMNS * width, 3)).save(content, **saved)
    kind = saved["format"].lower()
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"


def lossless(images: np.ndarray) -> str:
    """The sheet as PNG; not compressed, so that no library's zip decides bytes."""
    return sheet(images, format="PNG", compress_level=0)


def small(images: np.ndarray, quality: int) -> str:
    """The sheet as JPEG, whose blocks of 16 pixels no two images of 32 share."""
    return sheet(images, format="JPEG", quality=quality, subsampling="4:2:0")
