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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.base.errors import PipelineError
from pipeline.data.cifar10 import SIDE

STANDARD_INPUT = "-"
# From about here on decoding, outside the interpreter's lock, outweighs the Python around it. Of
# smaller files two threads hand the lock to and fro: 0.32 ms a thumbnail of 32 pixels, one 0.18.
BYTES_FOR_A_THREAD = 10_000


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
    Grey of 16 bits keeps its depth. Grey of 32 bits or of floats has no agreed white, so its
    darkest and brightest pixels become black and white; ValueError when they are not finite.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return _deep_grey(upright)
    if upright.has_transparency_data:
        square = _centre_square(upright.convert("RGBA"))
        square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square)
    else:
        square = _centre_square(upright.convert("RGB"))
    return np.asarray(square.convert("RGB"), np.float32) / 255


def _deep_grey(image: Image.Image) -> np.ndarray:
    """`to_input` for more than 8 bits a pixel, which Pillow's own conversion to RGB would clip."""
    grey = np.asarray(_centre_square(image.convert("F")), np.float32)
    if not np.isfinite(grey).all():
        raise ValueError("pixels that are infinite or not a number")
    black, white = (0, 65535) if image.mode.startswith("I;16") else (grey.min(), grey.max())
    # Lanczos overshoots at hard edges by up to a tenth of the step.
    unit = np.clip((grey - black) / max(white - black, np.finfo(np.float32).tiny), 0, 1)
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
    except OSError as error:
        problem = f"cannot read this image: {error.strerror or error}; check or replace the file"
    except Exception as error:  # Pillow's decoders raise anything at damaged files, even IndexError
        problem = f"cannot read this image: {error}; check or replace the file"
    return PipelineError(f"{name}: {problem}")


def _decoded(stream: io.BufferedReader) -> np.ndarray:
    with Image.open(stream) as image:
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
