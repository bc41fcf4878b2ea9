"""Decode an image file to a square RGB array, the same for training and for predict.

Colour profiles are not applied. Transparent pixels are laid over white. Of an animation the first
frame is taken. The EXIF orientation is applied, as browsers do.

Resampling is Pillow's Lanczos filter, whose support grows with the reduction, so nothing aliases
(Parmar et al., On Aliased Resizing, CVPR 2022). The aspect ratio is kept.
"""

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION as PHOTOMETRIC

from pipeline.base.errors import PipelineError
from pipeline.datasets.config import CropMode

# Pillow's names of the formats that are read. None of them starts another program, as EPS does.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
PLANAR_CONFIGURATION = 284  # a TIFF tag
RESAMPLING = Image.Resampling.LANCZOS


def load_image(
    source: str | os.PathLike[str] | BinaryIO, *, side: int, crop_mode: CropMode
) -> np.ndarray:
    """The image in a file, by path or open for binary reading, as float32 (S, S, 3) in [0, 1].

    Raises PipelineError with one line that names the file when it is missing, damaged or no image.
    """
    content, name = None, str(source)
    try:
        if isinstance(source, (str, os.PathLike)):
            content = Path(source).read_bytes()
        else:
            content, name = source.read(), str(getattr(source, "name", "image"))
        return _decode(content, side, crop_mode)
    except UnidentifiedImageError:
        formats, found = ", ".join(FORMATS), "another file" if content else "an empty file"
        problem = f"expected an image ({formats}), found {found}"
    except FileNotFoundError:
        problem = "no such file"
    except Exception as error:  # Pillow raises anything at damaged files, even IndexError
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        problem = f"cannot read this image: {reason}"
    # Raised outside of `except`, as the traceback kept there holds the pixels in memory.
    raise PipelineError(f"{printable(name)}: {problem}; check or replace the file")


def image_to_array(image: Image.Image, *, side: int, crop_mode: CropMode) -> np.ndarray:
    """A Pillow image as float32 (S, S, 3) in [0, 1]; its EXIF data may be changed.

    Raises ValueError for an unsupported pixel format, and what Pillow raises at damaged files.
    """
    _refuse_unsupported(image)
    image.load()
    rgb = _to_rgb(_apply_orientation(image))
    pixels = np.asarray(pad_to_square(resize(rgb, side, crop_mode), side))
    return pixels.astype(np.float32) / 255


def printable(name: str) -> str:
    """`name` on one line, control characters escaped: a file name may hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def resize(image: Image.Image, side: int, crop_mode: CropMode) -> Image.Image:
    """The centre square, or the whole image of which the longer side has `side` pixels."""
    if crop_mode == "centre":
        return ImageOps.fit(image, (side, side), RESAMPLING)
    longest = max(image.size)
    # Halves are rounded up as in JavaScript, so that the page resizes to the same shape.
    width, height = (max(1, int(length * side / longest + 0.5)) for length in image.size)
    return image.resize((width, height), RESAMPLING)


def pad_to_square(image: Image.Image, side: int) -> Image.Image:
    """An RGB image of at most `side` pixels a side in the middle of a white square."""
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _decode(content: bytes, side: int, crop_mode: CropMode) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        limit = Image.MAX_IMAGE_PIXELS or 0
        if image.width * image.height > limit:  # Pillow only warns, up to twice as many
            raise ValueError(f"more than {limit:,} pixels")
        if isinstance(image, PngImageFile):  # decoding does not check all checksums
            with Image.open(io.BytesIO(content), formats=FORMATS) as unverified:
                unverified.verify()
        # libjpeg decodes at a half to an eighth of the size: 0.03 s instead of 0.2 s for 12
        # megapixels. Four times the target leaves the resampling filter its work.
        image.draft(None, (4 * side, 4 * side))
        return image_to_array(image, side=side, crop_mode=crop_mode)


def _refuse_unsupported(image: Image.Image) -> None:
    """ValueError for rare pixel formats, some of which Pillow decodes wrongly without an error."""
    problem = None
    if image.mode in ("I", "F"):
        problem = "grey of more than 16 bits, or signed"
    elif isinstance(image, PngImageFile) and "transparency" in image.info:
        if image.tile and image.tile[0].args in ("L;2", "L;4", "I;16B", "RGB;16B"):
            problem = "a PNG of not 8 bits with a transparent colour"
    elif isinstance(image, TiffImageFile):
        tags = image.tag_v2
        bits = max(tags.get(BITSPERSAMPLE, (1,)))
        planar, inverted = tags.get(PLANAR_CONFIGURATION) == 2, tags.get(PHOTOMETRIC) == 0
        if bits > 8 and (bits != 16 or planar or inverted):
            problem = "a TIFF of more than 8 bits that is planar, inverted or not of 16 bits"
    if problem:
        raise ValueError(f"{problem} is not supported; convert it to 8 bits")


def _apply_orientation(image: Image.Image) -> Image.Image:
    """The image turned by its EXIF orientation; unchanged where EXIF is damaged."""
    try:
        image.getexif()  # cached in `image`
        # Else exif_transpose writes EXIF back, which fails on tags that some cameras write.
        image.info.pop("exif", None)
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises anything at damaged EXIF; the pixels may be sound
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip at 255
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
