"""What a photo's format says of its pixels, and Pillow leaves to whoever reads them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE as BITS_PER_SAMPLE,
)
from PIL.TiffImagePlugin import (
    COMPRESSION,
    TiffImageFile,
)
from PIL.TiffImagePlugin import (
    PHOTOMETRIC_INTERPRETATION as PHOTOMETRIC,
)

# What undoes an EXIF orientation.
TURNS: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
WHITE_IS_ZERO = 0  # of TIFF's photometric interpretations
PLANAR, SEPARATE = 284, 2  # TIFF's tag for where the colours of a pixel are: each in a plane
# How far apart the decoded levels are of a PNG of less than 8 bits, by Pillow's name for it.
LEVELS_APART = {"L;2": 85, "L;4": 17}


class Encoding(NamedTuple):
    """`white`: the number that is white in an image of deep grey, None where that is not agreed.

    `negative`: whether 0 is white; Pillow turns such round itself up to 8 bits. `clear`: the level
    or colour that a PNG names as transparent, in the numbers of decoded pixels; None for none.
    """

    white: int | None
    negative: bool
    clear: Any


def read(image: Image.Image) -> Encoding:
    """How an opened `image` is stored. To be asked before its pixels are decoded.

    Raises ValueError for what Pillow 13 decodes wrongly without a word.
    """
    _refuse_planes(image)
    return Encoding(_white(image), _is_negative(image), _clear(image))


def upright(image: Image.Image) -> Image.Image:
    """A decoded `image` turned as its EXIF says: a copy."""
    turn = TURNS.get(_orientation(image))
    return image.copy() if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> object:
    """EXIF's tag 274, the only one that is looked at; 1, upright, where it cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises anything at damaged EXIF; the pixels may be sound
        return 1


def _refuse_planes(image: Image.Image) -> None:
    """ValueError for planes of 16 bits, which Pillow 13 decodes as if they had 8."""
    if not _is_tiff(image):
        return
    tags, plain = image.tag_v2, 1
    planes = tags.get(PLANAR) == SEPARATE and tags.get(COMPRESSION, plain) == plain
    if planes and max(tags.get(BITS_PER_SAMPLE, (1,))) > 8:
        raise ValueError("a TIFF of uncompressed planes of 16 bits; save it another way")


def _white(image: Image.Image) -> int | None:
    if image.mode.startswith("I;16"):
        bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,)) if _is_tiff(image) else (16,)
        return 2 ** int(bits[0]) - 1
    if _is_tiff(image) and image.mode == "I" and image.tag_v2.get(BITS_PER_SAMPLE) == (16,):
        return 2**15 - 1  # signed
    # Pillow brings every PGM of more than 8 bits to this.
    return 65535 if image.mode == "I" and image.format == "PPM" else None


def _is_negative(image: Image.Image) -> bool:
    return _is_tiff(image) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _is_tiff(image: Image.Image) -> TypeGuard[TiffImageFile]:
    return isinstance(image, TiffImageFile)


def _clear(image: Image.Image) -> Any:
    """Pillow leaves it in the numbers of the file."""
    told = image.info.get("transparency")
    tiles = getattr(image, "tile", ())
    kind = tiles[0][3] if image.format == "PNG" and tiles else None
    if kind in LEVELS_APART and isinstance(told, int):
        return told * LEVELS_APART[kind]
    if kind == "RGB;16B" and isinstance(told, tuple):
        return tuple(level >> 8 for level in told)
    return told
