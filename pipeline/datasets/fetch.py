"""Stage fetch: the six CIFAR-10 batch files, from a mirror or from files that the user has."""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import pydantic

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets import cifar10
from pipeline.datasets.archives import read_batches
from pipeline.datasets.download import MIRRORS, SourceError, download

RAW = Path("data/raw")
DOWNLOADS = Path("data/downloads")


class Fetch(params_file.Section):
    """The `mirrors` in the order in which they are tried."""

    mirrors: Annotated[
        list[Annotated[str, params_file.one_of(MIRRORS)]], pydantic.Field(min_length=1)
    ]


def main(arguments: list[str]) -> None:
    """Fill data/raw from the files and folders named in `arguments`, or else from a mirror."""
    settings = params_file.section(params_file.read(), "fetch", Fetch)
    if not missing_files(RAW):
        source = "in place"
    elif arguments:
        write_batches(chain.from_iterable(map(read_batches, map(Path, arguments))), RAW)
        source = f"from {', '.join(arguments)}"
    else:
        source = f"from mirror {fetch_from_mirrors(settings.mirrors, RAW, DOWNLOADS)}"
    print(f"{RAW}: all six files {source} and verified")
    expect_no_other_files(RAW)


def missing_files(folder: Path) -> dict[str, str]:
    """The name, by SHA-256, of each of the six files that is not in `folder` or is damaged."""
    return {
        digest: name
        for name, digest in (cifar10.TRAIN_FILES | cifar10.TEST_FILES).items()
        if not (folder / name).is_file() or _sha256((folder / name).read_bytes()) != digest
    }


def write_batches(batches: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Write those of `batches` that have the SHA-256 of a file that is missing in `folder`.

    `batches` are pairs of origin and content. Raises SourceError when a missing file is not among
    them; the others have been written by then.
    """
    names, others = missing_files(folder), []
    for origin, content in batches:
        digest = _sha256(content)
        if name := names.pop(digest, None):
            files.write(folder / name, partial(Path.write_bytes, data=content))
        else:
            others.append(f"{origin} with {digest}")
        if not names:
            return
    absent = ", ".join(f"{name} with SHA-256 {digest}" for digest, name in names.items())
    raise SourceError(
        f"expected {absent}; found {', '.join(others) or 'no such file'}; get the binary version "
        "of CIFAR-10 (the Python version, which is pickle, is not read)"
    )


def fetch_from_mirrors(mirrors: Sequence[str], folder: Path, downloads: Path) -> str:
    """Fill `folder` from the first of `mirrors` that can; returns its name.

    Partial files stay in `downloads` for the next run to resume; on success none is left. Raises
    PipelineError with the error of each mirror when all fail.
    """
    errors = []
    for mirror in mirrors:
        try:
            parts = [download(*file, downloads) for file in MIRRORS[mirror].items()]
            write_batches(chain.from_iterable(map(read_batches, parts)), folder)
        except SourceError as error:
            errors.append(f"{mirror}: {error}")
            print(f"fetch: mirror {errors[-1]}", file=sys.stderr)
        else:
            for part in downloads.glob("*.part"):
                part.unlink()
            return mirror
    raise PipelineError(
        "\n  ".join(["none of fetch.mirrors has the data:", *errors])
        + "\nrun again to resume; or download cifar-10-binary.tar.gz yourself and run "
        "`python -m pipeline fetch PATH`"
    )


def expect_no_other_files(folder: Path) -> None:
    """Raise PipelineError when `folder` holds more than the six files: DVC hashes all of it.

    Dot-files such as macOS's .DS_Store are excluded: .dvcignore hides them from DVC.
    """
    known = cifar10.TRAIN_FILES | cifar10.TEST_FILES
    if others := sorted({path.name for path in folder.glob("[!.]*")} - known.keys()):
        raise PipelineError(
            f"{folder}: expected only the six batch files, found also {', '.join(others)}; "
            "move them elsewhere"
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
