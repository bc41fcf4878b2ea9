"""Any file that Pillow opens, as networks see it, or what is wrong with it in one line."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.base.errors import PipelineError
from pipeline.data.settings import Framing
from pipeline.photos import pixels, warned

# Formats that Pillow has another program decode: a photo shall start none.
BY_OTHER_PROGRAMS = ("EPS", "WMF", "IPTC")  # the last may hold an EPS

# Pillow works out dots an inch from a JPEG's EXIF as it opens it, and takes the file for none where
# that is odd. Nobody asks for them here.
setattr(JpegImageFile, "_read_dpi_from_exif", lambda _: None)  # noqa: B010, mypy refuses the other


def read(path: str | Path, *, side: int, framing: Framing) -> np.ndarray:
    """The photo at `path` as float32 (side, side, 3) in [0, 1], in any thread.

    Raises PipelineError with one line when the file is missing, unreadable, empty, no image,
    damaged, or of more pixels than Pillow takes for safe (a decompression bomb).
    """
    return decoded(os.fspath(path), lambda: open(path, "rb"), side=side, framing=framing)


def decoded(
    name: str, opened: Callable[[], io.BufferedReader], *, side: int, framing: Framing
) -> np.ndarray:
    """`read` for the bytes of a stream, which `opened` gives and errors call `name`."""
    try:
        with opened() as stream, warned.STRICTLY:
            if stream.peek(1):
                return _decoded(stream, side, framing)
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
    # Not where it was caught: the traceback of that would keep the photo in memory.
    raise PipelineError(f"{printable(name)}: {problem}")


def printable(name: str) -> str:
    """`name` in one line that says nothing to a terminal: a file's name may hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _decoded(stream: io.BufferedReader, side: int, framing: Framing) -> np.ndarray:
    Image.init()  # else only the most usual formats are known
    formats = [name for name in Image.ID if name not in BY_OTHER_PROGRAMS]
    with Image.open(stream, formats=formats) as image:
        # Lets libjpeg decode large photos at a half to an eighth of their size: 0.03 s instead
        # of 0.2 s for 12 megapixels at 32 pixels. 4 times the target leaves the filter its work.
        image.draft(None, (4 * side, 4 * side))
        return pixels.to_input(image, side=side, framing=framing)
