"""Pillow's warnings while photos are decoded, in any number of threads."""

import threading
import warnings

from PIL import Image


class _Strictness:
    """Meanwhile a possible decompression bomb is an error, where Pillow only warns of it up to
    twice its limit; of its other warnings none changes the pixels, and none is told.

    Python's filters belong to the process: each thread restoring what it found would leave them
    changed for good. So the first one in sets them, and the last one out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


STRICTLY = _Strictness()
