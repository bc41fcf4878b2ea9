"""Decode an image file to a square RGB array, the same for training and for predict.

Colour profiles are not applied. Transparent pixels are laid over white. Of an animation the first
frame is taken. The EXIF orientation is applied, as browsers do.

Resampling is Pillow's Lanczos filter, whose support grows with the reduction, so nothing aliases
(Parmar et al., On Aliased Resizing, CVPR 2022). The aspect ratio is kept.
"""

import contextlib
import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from pipeline.core.errors import PipelineError
from pipeline.datasets.config import CropMode

# Pillow's names of the formats that are read. None of them starts another program, as EPS does. Of
# TIFF, Pillow decodes some with 16 bits a channel wrongly, and the preview of raw files.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "WEBP")
RESAMPLING = Image.Resampling.LANCZOS


def load_image(
    source: str | os.PathLike[str] | BinaryIO, *, side: int, crop_mode: CropMode
) -> np.ndarray:
    """The image in a file, by path or open for binary reading, as float32 (S, S, 3) in [0, 1].

    Raises PipelineError with one line that names the file when it is missing, damaged or no image.
    """
    if isinstance(source, (str, os.PathLike)):
        name, read = str(source), Path(source).read_bytes
    else:
        name, read = str(getattr(source, "name", "image")), source.read
    try:
        return _decode(read(), side, crop_mode)
    except UnidentifiedImageError:
        problem = f"expected an image ({', '.join(FORMATS)}), found other content"
    except Exception as error:  # Pillow raises anything at damaged files, even IndexError
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        problem = f"cannot read this image: {reason}"
    # Raised outside of `except`, as the traceback kept there holds the pixels in memory.
    raise PipelineError(f"{printable(name)}: {problem}; check or replace the file")


def image_to_array(image: Image.Image, *, side: int, crop_mode: CropMode) -> np.ndarray:
    """A Pillow image as float32 (S, S, 3) in [0, 1]; the image is changed.

    Raises ValueError for more than 8 bits a channel, and what Pillow raises at damaged files.
    """
    # Pillow's modes I and F are grey of 16 or 32 bits, which conversion to RGB clips.
    if image.mode[0] in "IF":
        raise ValueError("expected at most 8 bits a channel, found more; convert it to 8 bits")
    image.load()
    with contextlib.suppress(Exception):  # Pillow raises anything at damaged EXIF data
        ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    square = to_square(image.convert("RGB"), side, crop_mode)
    return np.asarray(square).astype(np.float32) / 255


def printable(name: str) -> str:
    """`name` on one line, control characters escaped: a file name may hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def to_square(image: Image.Image, side: int, crop_mode: CropMode) -> Image.Image:
    """The centre square of an RGB image, or the whole image in the middle of a white square."""
    if crop_mode == "centre":
        return ImageOps.fit(image, (side, side), RESAMPLING)
    longest = max(image.size)
    # Halves are rounded up as in JavaScript, so that the page resizes to the same shape.
    width, height = (max(1, int(length * side / longest + 0.5)) for length in image.size)
    square = Image.new("RGB", (side, side), "white")
    corner = ((side - width) // 2, (side - height) // 2)
    square.paste(image.resize((width, height), RESAMPLING), corner)
    return square


def _decode(content: bytes, side: int, crop_mode: CropMode) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if isinstance(image, PngImageFile):  # decoding does not check all checksums
            with Image.open(io.BytesIO(content), formats=FORMATS) as unverified:
                unverified.verify()
        if isinstance(image, JpegImageFile):  # libjpeg repairs damaged ones, and Pillow is silent
            space = "CMYK" if image.mode == "CMYK" else "GRAY"
            simplejpeg.decode_jpeg(content, space, min_height=1, min_width=1, min_factor=8)
        if image.format in ("AVIF", "WEBP") and content.endswith(bytes(64)):  # has no checksum
            raise ValueError("its last part is zeros, so it was not copied whole")
        # libjpeg decodes at a half to an eighth of the size: 0.03 s instead of 0.2 s for 12
        # megapixels. Four times the target leaves the resampling filter its work.
        image.draft(None, (4 * side, 4 * side))
        return image_to_array(image, side=side, crop_mode=crop_mode)
