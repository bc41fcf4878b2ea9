"""A photo of any shape in a square: its centre, or the whole of it with white beside it.

Either way nothing is squashed: a horse in a wide photo keeps its shape. The study squashed the
whole photo instead.

The filter is Pillow's Lanczos. In Pillow a filter widens with the reduction, so every source pixel
counts and nothing aliases, unlike the plain bilinear of TensorFlow or OpenCV (Parmar et al., On
Aliased Resizing, CVPR 2022). Of Pillow's filters Lanczos keeps most detail, and the few pixels that
a network sees leave little to spare.
"""

import numpy as np
from PIL import Image, ImageOps

from pipeline.data.settings import Framing

FILTER = Image.Resampling.LANCZOS


def scaled(image: Image.Image, side: int, framing: Framing) -> Image.Image:
    """What `framing` keeps of `image`, scaled, in its mode: `side` pixels wide and high.

    Of "whole" the longer of the two; the other is shorter in proportion, by at least a pixel.
    """
    if framing == "centre":
        return ImageOps.fit(image, (side, side), FILTER)
    longest = max(image.size)
    # Halves go up, as in JavaScript, so that the page scales a photo to the same size.
    width, height = (max(1, int(length * side / longest + 0.5)) for length in image.size)
    return image.resize((width, height), FILTER)


def on_white(pixels: np.ndarray, side: int) -> np.ndarray:
    """`pixels` (H, W, 3) in [0, 1] in the middle of a white square: float32 (side, side, 3)."""
    height, width, _ = pixels.shape
    square = np.ones((side, side, 3), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square
