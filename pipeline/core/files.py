"""Atomic writes: every output appears whole or not at all, with the bytes it was given."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path for `path` while it is written, in the same folder, which is made when missing.

    It keeps the suffix, by which some savers choose the format. Raises PipelineError when the disk
    is full or the folder read-only.
    """
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except OSError as error:
        raise PipelineError(
            f"cannot write {path}: {error.strerror or error}; free space or fix its permissions, "
            "then run again"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # must not hide the error that is raised
            temporary.unlink(missing_ok=True)


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Call `save(temporary path)`, then rename onto `path`: a reader never sees half a file."""
    with _temporary(path) as temporary:
        save(temporary)
        os.replace(temporary, path)


def check_writable(path: Path) -> None:
    """Raise PipelineError when `write` could not create a file at `path`."""
    with _temporary(path) as temporary:
        temporary.touch()


def write_text(path: Path, text: str) -> None:
    """`text` as UTF-8 with Unix line ends, on every system, and one newline at the end."""
    content = text.rstrip("\n") + "\n"
    write(path, lambda temporary: temporary.write_bytes(content.encode("utf-8")))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """`content` with its keys in the order given; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False))


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
