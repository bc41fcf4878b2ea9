"""Stage fetch: the six official CIFAR-10 batches, byte for byte, from whichever source has them."""

import hashlib
import sys
from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets import cifar10
from pipeline.fetch import archives
from pipeline.fetch.download import discard, download
from pipeline.fetch.mirrors import MIRRORS, SourceError
from pipeline.fetch.settings import Fetch

RAW = Path("data/raw")
DOWNLOADS = Path("data/downloads")


def main(arguments: list[str]) -> None:
    """Fill data/raw from the files and folders named in `arguments`, or else from a mirror."""
    params = params_file.section(params_file.read(), "fetch", Fetch)
    if not missing(RAW):
        print(f"{RAW}: all six files are in place and verified; nothing to fetch")
    elif arguments:
        sources = chain.from_iterable(archives.batches(Path(name)) for name in arguments)
        keep(sources, missing(RAW), RAW)
        print(f"{RAW}: all six files taken from {', '.join(arguments)} and verified")
    else:
        mirror = fetch(params, RAW, DOWNLOADS)
        print(f"{RAW}: all six files fetched from mirror {mirror} and verified")
    refuse_others(RAW)


def expected() -> dict[str, str]:
    """The SHA-256 of each of the six files."""
    return cifar10.TRAIN_FILES | cifar10.TEST_FILES


def missing(folder: Path) -> dict[str, str]:
    """Those of the six files, with their SHA-256, that are not in `folder` or are damaged there."""
    return {
        name: digest
        for name, digest in expected().items()
        if not (folder / name).is_file() or _sha256((folder / name).read_bytes()) != digest
    }


def keep(batches: Iterable[tuple[str, bytes]], wanted: dict[str, str], folder: Path) -> None:
    """Write those of `batches` that have the SHA-256 of a `wanted` file to `folder`.

    `batches` are pairs of where a batch was found and its content. Raises SourceError when a
    wanted file is not among them; those that are have been written by then.
    """
    names = {digest: name for name, digest in wanted.items()}
    wrong = []
    for origin, content in batches:
        digest = _sha256(content)
        if name := names.pop(digest, None):
            files.write(folder / name, partial(Path.write_bytes, data=content))
        elif digest not in expected().values():
            wrong.append(f"{origin} with {digest}")
        if not names:
            return
    lacking = ", ".join(f"{name} with SHA-256 {digest}" for digest, name in names.items())
    raise SourceError(f"expected {lacking}; found {', '.join(wrong) or 'no such file'}")


def fetch(params: Fetch, folder: Path, downloads: Path) -> str:
    """Fill `folder` from the first mirror that can, by way of `downloads`; return its name.

    Raises PipelineError with each mirror's reason when none could. What had arrived by then
    stays in `downloads` for the next run to resume; on success nothing does.
    """
    reasons = []
    for name in params.mirrors:
        try:
            _fetch_from(name, params, folder, downloads)
        except SourceError as error:
            reasons.append(f"{name}: {error}")
            print(f"fetch: gave up on mirror {reasons[-1]}", file=sys.stderr)
        else:
            for part in downloads.glob("*.part"):
                discard(part)
            return name
    raise PipelineError(
        "none of fetch.mirrors could serve the data:\n  "
        + "\n  ".join(reasons)
        + f"\nrun again to resume; or `dvc checkout {RAW}`, if DVC's cache has it; or get "
        "cifar-10-binary.tar.gz in another way and run `python -m pipeline fetch PATH`"
    )


def _fetch_from(name: str, params: Fetch, folder: Path, downloads: Path) -> None:
    """Fill `folder` from the mirror `name`; SourceError when that cannot be done."""
    parts = [
        download(
            file,
            downloads,
            min_kilobytes_per_second=params.min_kilobytes_per_second,
            patience_seconds=params.patience_seconds,
        )
        for file in MIRRORS[name](params.patience_seconds)
    ]
    try:
        keep(chain.from_iterable(map(archives.batches, parts)), missing(folder), folder)
    except SourceError:
        for part in parts:
            discard(part)  # a complete download that is wrong is not worth resuming
        raise


def refuse_others(folder: Path) -> None:
    """Raise PipelineError when `folder` holds more than the six files: DVC hashes all of it.

    But for what begins with a dot, as macOS's .DS_Store: .dvcignore hides that from DVC.
    """
    others = sorted({path.name for path in folder.iterdir()} - set(expected()))
    hidden = [name for name in others if name.startswith(".")]
    if hidden:
        print(f"{folder}: found also {', '.join(hidden)}, which DVC does not see; left there")
    if strangers := [name for name in others if name not in hidden]:
        raise PipelineError(
            f"{folder}: expected the six official files alone, found also {', '.join(strangers)}; "
            "move them elsewhere"
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
