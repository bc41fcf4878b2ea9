"""Sprite sheets: many small images in one file, of which the page shows each by its position."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydantic
from PIL import Image

MAX_COLUMNS = 40
JPEG_BLOCK = 16  # pixels per side that JPEG with 4:2:0 subsampling encodes together
# Limits per sheet, so that the page stays small enough to send: 4.2 MB of PNG, 2 to 3 MB of JPEG.
PNG_PIXELS = 2**20
JPEG_PIXELS = 2**23


class SpriteSheet(pydantic.BaseModel, frozen=True):
    """The images `indices` of a split, row by row, `columns` per row, each `side` pixels square.

    `data` is the file in base64, `mime` its media type. A sheet of no images is black.
    """

    mime: str
    data: str
    columns: int
    side: int
    indices: list[int]


def encode_png(images: np.ndarray, indices: Sequence[int]) -> SpriteSheet:
    """Lossless sheet of `images[indices]`, float32 (N, S, S, 3) in [0, 1].

    Uncompressed: compressed bytes would depend on the version of zlib.
    """
    return _encode(images, indices, images.shape[1], format="PNG", compress_level=0)


def encode_jpeg(images: np.ndarray, indices: Sequence[int], quality: int) -> SpriteSheet:
    """JPEG sheet of `images[indices]`, float32 (N, S, S, 3) in [0, 1], scaled to jpeg_side."""
    side = jpeg_side(images.shape[1], len(indices))
    return _encode(images, indices, side, format="JPEG", quality=quality, subsampling=2)


def jpeg_side(side: int, count: int) -> int:
    """Pixels per side of `count` images in a JPEG sheet: whole blocks, within JPEG_PIXELS."""
    largest = min(side, math.isqrt(JPEG_PIXELS // max(1, count)))
    return max(JPEG_BLOCK, largest // JPEG_BLOCK * JPEG_BLOCK)


def _encode(images: np.ndarray, indices: Sequence[int], side: int, **options: Any) -> SpriteSheet:
    rows = math.ceil(max(1, len(indices)) / MAX_COLUMNS)
    columns = math.ceil(max(1, len(indices)) / rows)
    sheet, file = Image.new("RGB", (columns * side, rows * side)), io.BytesIO()
    for place, index in enumerate(indices):
        tile = Image.fromarray(np.rint(images[index] * 255).astype(np.uint8))
        corner = place % columns * side, place // columns * side
        sheet.paste(tile.resize((side, side), Image.Resampling.LANCZOS), corner)
    sheet.save(file, **options)
    return SpriteSheet(
        mime=f"image/{options['format'].lower()}",
        data=base64.b64encode(file.getvalue()).decode(),
        columns=columns,
        side=side,
        indices=list(indices),
    )
