"""Test images as files in base64, which the page shows as data URLs."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

# Limits of all images together, for a page small enough to send: 4 MB of PNG, 3 MB of JPEG.
PNG_PIXELS = 2**20
JPEG_PIXELS = 2**23


def encode_png(image: np.ndarray) -> str:
    """Lossless file of `image`, float32 (S, S, 3) in [0, 1].

    Uncompressed: compressed bytes would depend on the version of zlib.
    """
    return _encode(image, len(image), format="PNG", compress_level=0)


def encode_jpegs(
    images: np.ndarray, indices: Sequence[int], quality: int
) -> tuple[str, dict[int, str]]:
    """Files of `images[indices]`, float32 (N, S, S, 3) in [0, 1], scaled to at most JPEG_PIXELS.

    Returns the header that they share, and the rest of each by its index.
    """
    side = min(images.shape[1], math.isqrt(JPEG_PIXELS // max(1, len(indices))))
    options = {"format": "JPEG", "quality": quality, "subsampling": 2}
    encoded = {index: _encode(images[index], side, **options) for index in indices}
    # Files of one size and quality differ from the first scan on, which the marker FFDA starts.
    first = next(iter(encoded.values()), "")
    start = base64.b64decode(first).find(b"\xff\xda") // 3 * 4  # 4 letters are 3 bytes
    return first[:start], {index: file[start:] for index, file in encoded.items()}


def _encode(image: np.ndarray, side: int, **options: Any) -> str:
    file, pixels = io.BytesIO(), Image.fromarray(np.rint(image * 255).astype(np.uint8))
    pixels.resize((side, side), Image.Resampling.LANCZOS).save(file, **options)
    return base64.b64encode(file.getvalue()).decode()
