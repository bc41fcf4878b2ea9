"""A project with made-up results for the stage page, and readers of the page that it writes."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.base import files
from pipeline.comparison import compare
from pipeline.page import training_times
from pipeline.page.page import PAGE
from pipeline.predict.predictor import load_images
from pipeline.report import places

VARIANTS: dict[str, dict[str, Any]] = {
    "final": {"recipe": "study", "arithmetic": "study", "seed": 1},
    "fast": {"recipe": "fast", "arithmetic": "own", "seed": 1},
    "fast_2": {"recipe": "fast", "arithmetic": "own", "seed": 2},
}
CIFAR10: dict[str, Any] = {"kind": "cifar10", "folder": "raw", "seed": 1}
CIFAR10 |= {"train_images": 10, "validation_images": 10}
PHOTOS: dict[str, Any] = {"kind": "photos", "folder": "data/<b>my_pictures &c", "seed": 1}
PHOTOS |= {"side": 48, "framing": "whole", "duplicates": "keep"}
PHOTOS |= {"validation_share": 0.1, "test_share": 0.1}
# A column name, a missing value, and what HTML, Markdown, CSV and the template give a meaning.
ODD = ["class", "nan", "</script><!-- data -->", "a|b", "a,b", 'say "hi"', "$5 & $6", "Käse"]


def make_project(
    folder: Path,
    model: Path,
    *,
    dataset: dict[str, Any] = CIFAR10,
    classes: list[str] = made_up.NAMES,
    side: int = 32,
    samples: int = 2,
) -> Path:
    """The inputs of the stages compare and page, in `folder`."""
    for name in ("pipeline/page", "requirements"):
        shutil.copytree(PROJECT / name, folder / name)
    full = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings = {"variant": "fast", "mistakes": 7, "samples": samples, "jpeg_quality": 60}
    params = full | {"variants": VARIANTS, "page": settings, "dataset": dataset}
    # These tests run in a study of photos too, which has other recipes.
    params["recipes"] = {"fast": full["recipes"]["best"]} | full["recipes"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / compare.PUBLISHED).parent.mkdir()
    shutil.copy(PROJECT / compare.PUBLISHED, folder / compare.PUBLISHED)
    for variant, correct, epochs in (("final", 70, 4), ("fast", 80, 8), ("fast_2", 90, 8)):
        held_out = variant == "final"
        made_up.write(
            variant, correct, folder=folder, epochs=epochs, validated=held_out, classes=classes
        )
    (folder / places.model("fast")).parent.mkdir()
    shutil.copy(model, folder / places.model("fast"))
    labels = np.arange(100 * len(classes)) // 100
    images = np.random.default_rng(1).integers(0, 256, (len(labels), side, side, 3), np.uint8)
    files.write_arrays(
        folder / "data/processed/test.npz",
        images=images.astype(np.float32) / 255,
        labels=np.eye(len(classes), dtype=np.float32)[labels],
    )
    digest = training_times.history_digest("final", folder)
    rows = ["pipeline,final," + digest + ",75,2 cores", "pipeline,fast,other,9,2 cores"]
    rows += ["notebook,final,,80,2 cores"]
    files.write_text(
        folder / training_times.PATH, "\n".join([",".join(training_times.COLUMNS), *rows])
    )
    return folder


def save_model(path: Path, *, classes: int = 10, side: int = 32) -> Path:
    """An untrained network of this shape, saved as `path`."""
    import keras

    image = keras.Input((side, side, 3), name="image")
    hidden = keras.layers.GlobalAveragePooling2D(name="mean")(image)
    probabilities = keras.layers.Dense(classes, activation="softmax", name="class")(hidden)
    keras.Model(image, probabilities, name="whitened").save(path)
    return path


def read_data(page: Path = PAGE) -> Any:
    """The data in the page."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def read_tile(sheet: dict[str, Any], place: int) -> np.ndarray:
    """The image at `place` of a sheet of the page, uint8 (S, S, 3)."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet["data"]))))
    side, (row, column) = sheet["side"], divmod(place, sheet["columns"])
    return pixels[side * row : side * (row + 1), side * column : side * (column + 1)]


def read_weights(network: dict[str, Any]) -> list[np.ndarray]:
    """The arrays of a network in the page, in Keras's order."""
    data, arrays = base64.b64decode(network["data"]), []
    for weight in network["weights"]:
        array = np.frombuffer(data, weight["dtype"], int(np.prod(weight["shape"])))
        arrays.append(array.reshape(weight["shape"]))
        data = data[array.nbytes :]
    assert not data
    return arrays


def load_model(network: dict[str, Any]) -> Any:
    """The Keras model of a network in the page, up to its logits."""
    import keras

    from pipeline.evaluate import portable

    config = json.loads(json.dumps(network["config"]))  # Keras takes it to pieces
    model = keras.saving.deserialize_keras_object(config)
    model.set_weights(read_weights(network))
    return portable.portable(model)


def load_photo(path: Path, side: int, crop_mode: Any) -> np.ndarray:
    """The model input of a photo as predict prepares it, float32 (1, S, S, 3)."""
    return load_images([path], side=side, crop_mode=crop_mode)
