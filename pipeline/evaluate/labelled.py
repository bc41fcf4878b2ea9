"""The names of the classes inside a network's file for LiteRT, so that they travel with it.

As TensorFlow Lite's metadata has files that belong to a network: behind the network stands a zip
archive with them, stored as they are, so that the whole is both a network to LiteRT, which asks for
no more than its length, and an archive to any zip. `unzip -p models/best.tflite labels.txt` tells
the names.
"""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import files
from pipeline.base.errors import PipelineError

LABELS = "labels.txt"


def append(file: Path, names: Sequence[str]) -> None:
    """Put the `names` behind the network in `file`, a line each; the same bytes each time.

    Whole or not at all. Raises ValueError when a name has a line end or there is none, and
    PipelineError when the disk is full or the folder read-only.
    """
    if not names or any(not name or "\n" in name for name in names):
        raise ValueError(f"expected names of one line each, found {list(names)}")
    entry = zipfile.ZipInfo(LABELS)  # of 1980
    entry.create_system = 3  # Unix

    def save(temporary: Path) -> None:
        shutil.copyfile(file, temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(entry, "".join(f"{name}\n" for name in names))

    files.write(file, save)


def read(file: Path) -> tuple[str, ...]:
    """The names behind the network in `file`, in the order of its outputs.

    Raises PipelineError when there are none, or the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = tuple(archive.read(LABELS).decode("utf-8").removesuffix("\n").split("\n"))
        if all(names):
            return names
        found = "an empty name"
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        found = " ".join(str(getattr(error, "strerror", None) or error).split())
    raise PipelineError(
        f"{file}: expected the names of its classes in a {LABELS} behind the network, found "
        f"{found}; delete it, and run `dvc repro` for the stage evaluate"
    )
