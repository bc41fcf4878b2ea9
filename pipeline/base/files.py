"""Writing outputs: stable bytes, whole or not at all. Every stage's files go through here."""

import contextlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError

_HEADER_BYTES = 4096  # more than any array's


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Call `save(temporary path)`, then rename onto `path`: a reader never sees half a file.

    The temporary name keeps the suffix, from which savers tell the format. `path`'s folder is
    made when missing. Raises PipelineError when the disk is full or the folder read-only.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # it must not hide the error on its way out
            temporary.unlink(missing_ok=True)


def expect_writable(path: Path) -> None:
    """Raise PipelineError now when `write` could not put a file at `path` later."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """`text` as UTF-8 with Unix line ends and one newline at the end, on every system."""
    content = text.rstrip("\n") + "\n"
    write(path, lambda temporary: temporary.write_bytes(content.encode("utf-8")))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """`content` with its keys in the order given; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False))


class Blocks(NamedTuple):
    """An array that need never be whole in memory: of `shape` and `dtype`, its first axis cut into
    `blocks`, each in C order."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Iterable[np.ndarray]


def write_arrays(path: Path, **arrays: np.ndarray | Blocks) -> None:
    """The named arrays as an uncompressed .npz without pickle.

    Not by `np.savez`, which leaves headers to Python's zipfile: 3.11.4 writes others than 3.11.2.
    Raises ValueError when Blocks are not what they say.
    """

    def save(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980
                entry.create_system = 3  # Unix
                # Known beforehand, so that only an array of 2 GiB gets the long header.
                size = array.dtype.itemsize * math.prod(array.shape)
                entry.file_size = size + _HEADER_BYTES
                with archive.open(entry, "w") as opened:
                    if isinstance(array, Blocks):
                        _write_blocks(opened, array)
                    else:
                        np.lib.format.write_array(opened, array, allow_pickle=False)

    write(path, save)


def _write_blocks(file: IO[bytes], array: Blocks) -> None:
    """What `np.lib.format.write_array` writes of the whole array."""
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    written = 0
    for block in array.blocks:
        if block.dtype != array.dtype or block.shape[1:] != array.shape[1:]:
            raise ValueError(
                f"expected {array.dtype} {array.shape}, found {block.dtype} {block.shape}"
            )
        file.write(np.ascontiguousarray(block).data)
        written += len(block)
    if written != array.shape[0]:
        raise ValueError(f"expected {array.shape[0]} rows in all blocks, found {written}")


def read_arrays(path: Path, *names: str) -> tuple[np.ndarray, ...]:
    """The arrays `names` of an .npz; PipelineError when it is missing, damaged or lacks one."""
    try:
        # Given a path, np.load leaves the file open when it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return tuple(archive[name] for name in names)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"cannot read {', '.join(names)} from {path}: {error}; "
            "delete the file and run `dvc repro` to make it again"
        ) from error


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.part{path.suffix}")


def _unwritable(path: Path, error: OSError) -> PipelineError:
    return PipelineError(
        f"cannot write {path}: {error.strerror or error}; free space or fix its permissions, "
        "then run again"
    )
