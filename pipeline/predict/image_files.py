"""The photos that predict is asked about: files, and what standard input holds."""

import io
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.datasets import image_loading
from pipeline.datasets.config import CropMode

STANDARD_INPUT = "-"
# From about here on decoding, outside the interpreter's lock, outweighs the Python around it. Of
# smaller files two threads hand the lock to and fro: 0.32 ms a thumbnail of 32 pixels, one 0.18.
BYTES_FOR_A_THREAD = 10_000


def load(names: Sequence[str], *, side: int, framing: CropMode) -> np.ndarray:
    """The image files `names` as float32 (N, side, side, 3) in [0, 1]; `-` is standard input.

    A name given twice is read once, as standard input has to be. All or nothing: raises
    PipelineError with a line for each file that pipeline/datasets/image_loading.py refuses.
    """
    if not names:
        raise PipelineError("expected at least one image, found none; name a file")
    attempt = partial(_attempt, side=side, framing=framing)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        distinct = dict.fromkeys(names)
        elsewhere = {name: pool.submit(attempt, name) for name in distinct if _is_large(name)}
        results = {
            name: elsewhere[name].result() if name in elsewhere else attempt(name)
            for name in distinct
        }
    failures = [str(result) for result in results.values() if isinstance(result, PipelineError)]
    if failures:
        raise PipelineError("\n".join(failures))
    found = {name: result for name, result in results.items() if isinstance(result, np.ndarray)}
    return np.stack([found[name] for name in names])


def _attempt(name: str, *, side: int, framing: CropMode) -> np.ndarray | PipelineError:
    """The photo, or what is wrong with it, so that all can be listed."""
    try:
        if name == STANDARD_INPUT:
            return image_loading.load_image(_standard_input(), side=side, crop_mode=framing)
        return image_loading.load_image(name, side=side, crop_mode=framing)
    except PipelineError as error:
        return error


def _is_large(name: str) -> bool:
    try:
        return os.path.getsize(name) > BYTES_FOR_A_THREAD
    except OSError:  # standard input, or a file that is not there
        return False


def _standard_input() -> io.BytesIO:
    """What standard input holds: nothing where a shell has closed it."""
    stream = io.BytesIO(sys.stdin.buffer.read() if sys.stdin else b"")
    stream.name = STANDARD_INPUT
    return stream
