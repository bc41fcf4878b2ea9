"""Saving a model as a .keras file: the same model gives the same bytes."""

import io
import json
import re
import zipfile
from pathlib import Path

import keras

from pipeline.base import files

# What Keras puts into the archive beyond the model: the time of saving, the time of each
# member, and memory addresses as `shared_object_id`s.
_DATE = "1980-01-01@00:00:00"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_OBJECT_ID = re.compile(r'("shared_object_id": )(\d+)')


def save(model: keras.Model, path: Path) -> None:
    """`model` at `path`, whole or not at all; `keras.saving.load_model` opens it."""

    def write_stable(temporary: Path) -> None:
        model.save(temporary)
        temporary.write_bytes(stable(temporary.read_bytes()))

    files.write(path, write_stable)


def stable(archive: bytes) -> bytes:
    """The .keras `archive` with its dates made constant and its object ids numbered from 1."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(output, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": _DATE}).encode()
            elif name == "config.json":
                content = _renumbered(content.decode()).encode()
            new.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content)
    return output.getvalue()


def _renumbered(text: str) -> str:
    """`text` with each distinct object id replaced by the rank of its first appearance."""
    ranks: dict[str, int] = {}

    def rank(match: re.Match[str]) -> str:
        return match[1] + str(ranks.setdefault(match[2], len(ranks) + 1))

    return _OBJECT_ID.sub(rank, text)
