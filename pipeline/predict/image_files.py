"""Photos as the networks see them: any file that Pillow opens becomes 32x32 RGB in [0, 1].

The centre square is cut out and scaled, so that nothing is squashed: a horse in a wide photo keeps
its shape, and only what stands at the edges is lost. The study squashed the whole photo instead.

The filter is Pillow's Lanczos. In Pillow a filter widens with the reduction, so every source pixel
counts and nothing aliases, unlike the plain bilinear of TensorFlow or OpenCV (Parmar et al., On
Aliased Resizing, CVPR 2022). Of Pillow's filters Lanczos keeps most detail, and 32 pixels leave
little to spare. Colour profiles are not applied.
"""

import io
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeGuard

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
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

from pipeline.base.errors import PipelineError
from pipeline.data.cifar10 import SIDE

STANDARD_INPUT = "-"
# From about here on decoding, outside the interpreter's lock, outweighs the Python around it. Of
# smaller files two threads hand the lock to and fro: 0.32 ms a thumbnail of 32 pixels, one 0.18.
BYTES_FOR_A_THREAD = 10_000

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
# Formats that Pillow has another program decode: a photo shall start none.
BY_OTHER_PROGRAMS = ("EPS", "WMF", "IPTC")  # the last may hold an EPS

# Pillow works out dots an inch from a JPEG's EXIF as it opens it, and takes the file for none where
# that is odd. Nobody asks for them here.
setattr(JpegImageFile, "_read_dpi_from_exif", lambda _: None)  # noqa: B010, mypy refuses the other


def load(names: Sequence[str]) -> np.ndarray:
    """The image files `names` as float32 (N, 32, 32, 3) in [0, 1]; `-` is standard input.

    A name given twice is read once, as standard input has to be. All or nothing: raises
    PipelineError with one line for each file that is missing, unreadable, empty, no image,
    damaged, or of more pixels than Pillow takes for safe (a decompression bomb).
    """
    if not names:
        raise PipelineError("expected at least one image, found none; name a file")
    # The filters hold for the threads too. Pillow only warns at bombs of up to twice its limit.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's other warnings none changes the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            distinct = dict.fromkeys(names)
            elsewhere = {name: pool.submit(_attempt, name) for name in distinct if _is_large(name)}
            results = {
                name: elsewhere[name].result() if name in elsewhere else _attempt(name)
                for name in distinct
            }
    failures = [str(result) for result in results.values() if isinstance(result, PipelineError)]
    if failures:
        raise PipelineError("\n".join(failures))
    found = {name: result for name, result in results.items() if isinstance(result, np.ndarray)}
    return np.stack([found[name] for name in names])


def to_input(image: Image.Image) -> np.ndarray:
    """An opened image of any size and mode as float32 (32, 32, 3) in [0, 1]; `image` stays.

    The centre square of the frame it stands at, turned as EXIF says, transparency over white.
    Grey of more than 8 bits keeps its depth, whose largest number is white. Grey of 32 bits or of
    floats has no agreed white, so its darkest and brightest pixels become black and white;
    ValueError when they are not finite.
    """
    _refuse_planes(image)
    white, negative, clear = _white(image), _is_negative(image), _clear(image)
    image.load()  # by which Pillow turns a TIFF itself, so before the orientation is asked
    turn = TURNS.get(_orientation(image))
    upright = image.copy() if turn is None else image.transpose(turn)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return _deep_grey(upright, white, negative, clear)
    if clear is not None:
        upright.info["transparency"] = clear
    if upright.mode == "La":  # premultiplied, of which Pillow converts to LA alone
        upright = upright.convert("LA")
    if upright.has_transparency_data:
        white_behind = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white_behind, upright.convert("RGBA"))
    return np.asarray(_centre_square(upright.convert("RGB")), np.float32) / 255


def _refuse_planes(image: Image.Image) -> None:
    """ValueError for what Pillow 13 decodes wrongly without a word: as if it had 8 bits."""
    if not _is_tiff(image):
        return
    tags, plain = image.tag_v2, 1
    planes = tags.get(PLANAR) == SEPARATE and tags.get(COMPRESSION, plain) == plain
    if planes and max(tags.get(BITS_PER_SAMPLE, (1,))) > 8:
        raise ValueError("a TIFF of uncompressed planes of 16 bits; save it another way")


def _orientation(image: Image.Image) -> object:
    """EXIF's tag 274, the only one that is looked at; 1, upright, where it cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises anything at damaged EXIF; the pixels may be sound
        return 1


def _white(image: Image.Image) -> int | None:
    """The number that is white in an image of deep grey, as its file says; None: not agreed."""
    if image.mode.startswith("I;16"):
        bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,)) if _is_tiff(image) else (16,)
        return 2 ** int(bits[0]) - 1
    if _is_tiff(image) and image.mode == "I" and image.tag_v2.get(BITS_PER_SAMPLE) == (16,):
        return 2**15 - 1  # signed
    # Pillow brings every PGM of more than 8 bits to this.
    return 65535 if image.mode == "I" and image.format == "PPM" else None


def _is_negative(image: Image.Image) -> bool:
    """Whether 0 is white. Pillow turns such round itself up to 8 bits."""
    return _is_tiff(image) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _is_tiff(image: Image.Image) -> TypeGuard[TiffImageFile]:
    return isinstance(image, TiffImageFile)


def _clear(image: Image.Image) -> Any:
    """The level or colour that a PNG names as transparent, in the numbers of decoded pixels.

    Pillow leaves it in those of the file. Must be asked before the pixels are decoded. None where
    there is no such thing.
    """
    told = image.info.get("transparency")
    tiles = getattr(image, "tile", ())
    kind = tiles[0][3] if image.format == "PNG" and tiles else None
    if kind in LEVELS_APART and isinstance(told, int):
        return told * LEVELS_APART[kind]
    if kind == "RGB;16B" and isinstance(told, tuple):
        return tuple(level >> 8 for level in told)
    return told


def _deep_grey(
    image: Image.Image, white: int | None, negative: bool, clear: int | None
) -> np.ndarray:
    """`to_input` for more than 8 bits a pixel, which Pillow's own conversion to RGB would clip."""
    grey = image.convert("F")
    if clear is not None:
        levels = np.array(grey)
        levels[levels == clear] = white
        grey = Image.fromarray(levels)
    square = np.asarray(_centre_square(grey), np.float64)  # float32 may lack room for their range
    if not np.isfinite(square).all():
        raise ValueError("pixels that are infinite or not a number")
    black, bright = (square.min(), square.max()) if white is None else (0, white)
    # Lanczos overshoots at hard edges by up to a tenth of the step.
    unit = np.clip((square - black) / max(bright - black, np.finfo(np.float32).tiny), 0, 1)
    unit = 1 - unit if negative else unit
    return np.repeat(unit[:, :, None], 3, axis=2).astype(np.float32)


def _centre_square(image: Image.Image) -> Image.Image:
    return ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS)


def _attempt(name: str) -> np.ndarray | PipelineError:
    """The file as `to_input` gives it, or what is wrong with it, so that all can be listed."""
    try:
        with _open(name) as stream:
            if stream.peek(1):
                return _decoded(stream)
        problem = "expected an image, found it empty; a download may have failed: get it again"
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = Image.MAX_IMAGE_PIXELS or 0
        problem = f"expected at most {limit // 10**6} million pixels, found more; scale it down"
    except UnidentifiedImageError:
        problem = "expected an image, found something that Pillow cannot read; save it as PNG"
    except FileNotFoundError:
        problem = "no such file; check its name"
    except MemoryError:
        problem = "cannot read this image: too little memory for it; scale it down, or free some"
    except OSError as error:
        problem = f"cannot read this image: {error.strerror or error}; check or replace the file"
    except Exception as error:  # Pillow's decoders raise anything at damaged files, even IndexError
        problem = f"cannot read this image: {error}; check or replace the file"
    return PipelineError(f"{printable(name)}: {problem}")


def printable(name: str) -> str:
    """`name` in one line that says nothing to a terminal: a file's name may hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _decoded(stream: io.BufferedReader) -> np.ndarray:
    Image.init()  # else only the most usual formats are known
    formats = [name for name in Image.ID if name not in BY_OTHER_PROGRAMS]
    with Image.open(stream, formats=formats) as image:
        # Lets libjpeg decode large photos at a half to an eighth of their size: 0.03 s instead
        # of 0.2 s for 12 megapixels. 4 times the target leaves the filter its work.
        image.draft(None, (4 * SIDE, 4 * SIDE))
        return to_input(image)


def _is_large(name: str) -> bool:
    try:
        return os.path.getsize(name) > BYTES_FOR_A_THREAD
    except OSError:  # standard input, or a file that is not there
        return False


def _open(name: str) -> io.BufferedReader:
    """The file `name`, or what standard input holds: nothing where a shell has closed it."""
    if name != STANDARD_INPUT:
        return open(name, "rb")
    return io.BufferedReader(io.BytesIO(sys.stdin.buffer.read() if sys.stdin else b""))
