"""Saving a model as a .keras file: the same model gives the same bytes."""

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from pipeline.core import files
from pipeline.core.splits import FEATURES

# What Keras adds to the archive: the time of saving, the time of each member, and memory addresses
# as `shared_object_id`s.
_DATE = "1980-01-01@00:00:00"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
# Layer arguments that Keras 3 has added, with their defaults: earlier versions refuse them.
_RECENT_ARGUMENTS = {
    "input_axes": None,
    "optional": False,
    "output_axes": None,
    "quantization_config": None,
    "ragged": False,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}
_OBJECT_ID = re.compile(r'("shared_object_id": )(\d+)')


def save_model(model: keras.Model, path: Path) -> None:
    """`model` at `path`, whole or not at all; `keras.saving.load_model` opens it."""

    files.write(path, lambda temporary: temporary.write_bytes(model_bytes(model)))


def model_bytes(model: keras.Model) -> bytes:
    """The .keras file of `model`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return normalize_archive(path.read_bytes())


def add_backbone(head: keras.Model, backbone: bytes) -> keras.Model:
    """The network from images to classes: the .keras file `backbone`, which ends with features,
    then the layers of `head` behind its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "backbone.keras")
        path.write_bytes(backbone)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    hidden, names = model.output, [layer.name for layer in head.layers]
    for layer in head.layers[names.index(FEATURES) + 1 :]:
        hidden = layer(hidden)
    return keras.Model(model.input, hidden, name=head.name)


def normalize_archive(archive: bytes) -> bytes:
    """The .keras `archive` with constant dates, object ids numbered from 1, and without recent
    arguments at their defaults."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(output, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": _DATE}).encode()
            elif name == "config.json":
                config = _drop_recent_arguments(json.loads(content))
                content = _renumber(json.dumps(config)).encode()
            new.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content)
    return output.getvalue()


def _drop_recent_arguments(config: Any) -> Any:
    """`config` without the entries of _RECENT_ARGUMENTS that are at their defaults."""
    if isinstance(config, list):
        return [_drop_recent_arguments(item) for item in config]
    if not isinstance(config, dict):
        return config
    return {
        key: _drop_recent_arguments(value)
        for key, value in config.items()
        if key not in _RECENT_ARGUMENTS or _RECENT_ARGUMENTS[key] != value
    }


def _renumber(text: str) -> str:
    """`text` with each distinct object id replaced by the rank of its first appearance."""
    ranks: dict[str, int] = {}

    def rank(match: re.Match[str]) -> str:
        return match[1] + str(ranks.setdefault(match[2], len(ranks) + 1))

    return _OBJECT_ID.sub(rank, text)
