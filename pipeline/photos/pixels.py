"""An opened image of any mode as RGB in [0, 1]. Colour profiles are not applied."""

import numpy as np
from PIL import Image

from pipeline.data.settings import Framing
from pipeline.photos import encodings, framed
from pipeline.photos.encodings import Encoding


def to_input(image: Image.Image, *, side: int, framing: Framing) -> np.ndarray:
    """An opened image of any size and mode as float32 (side, side, 3) in [0, 1]; `image` stays.

    The frame it stands at, turned as EXIF says, transparency over white, in a square as `framing`
    says. Grey of more than 8 bits keeps its depth, whose largest number is white. Grey of 32 bits
    or of floats has no agreed white, so its darkest and brightest pixels become black and white.

    Raises ValueError when those are not finite, or Pillow would decode the image wrongly.
    """
    encoding = encodings.read(image)
    image.load()  # by which Pillow turns a TIFF itself, so before the orientation is asked
    upright = encodings.upright(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        grey = framed.scaled(_grey(upright, encoding), side, framing)
        return framed.on_white(_unit(grey, encoding), side)
    colours = framed.scaled(_colours(upright, encoding), side, framing)
    return framed.on_white(np.asarray(colours, np.float32) / 255, side)


def _colours(image: Image.Image, encoding: Encoding) -> Image.Image:
    """`image` as RGB of 8 bits."""
    if encoding.clear is not None:
        image.info["transparency"] = encoding.clear
    if image.mode == "La":  # premultiplied, of which Pillow converts to LA alone
        image = image.convert("LA")
    if image.has_transparency_data:
        white_behind = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white_behind, image.convert("RGBA"))
    return image.convert("RGB")


def _grey(image: Image.Image, encoding: Encoding) -> Image.Image:
    """`image` of more than 8 bits, which Pillow's own conversion to RGB would clip, as floats."""
    grey = image.convert("F")
    if encoding.clear is None:
        return grey
    levels = np.array(grey)
    levels[levels == encoding.clear] = encoding.white
    return Image.fromarray(levels)


def _unit(grey: Image.Image, encoding: Encoding) -> np.ndarray:
    """The levels of `grey` from black to white, float32 (H, W, 3) in [0, 1]."""
    levels = np.asarray(grey, np.float64)  # float32 may lack room for their range
    if not np.isfinite(levels).all():
        raise ValueError("pixels that are infinite or not a number")
    white = encoding.white
    black, bright = (levels.min(), levels.max()) if white is None else (0, white)
    # Lanczos overshoots at hard edges by up to a tenth of the step.
    unit = np.clip((levels - black) / max(bright - black, np.finfo(np.float32).tiny), 0, 1)
    unit = 1 - unit if encoding.negative else unit
    return np.repeat(unit[:, :, None], 3, axis=2).astype(np.float32)
