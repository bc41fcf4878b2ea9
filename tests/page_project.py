"""A project of which stage page can make a page, with made-up results, and what stands in that."""

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
from page_model import PAGE
from PIL import Image

from pipeline.base import files
from pipeline.comparison import compare
from pipeline.page import training_times
from pipeline.report import places

VARIANTS: dict[str, dict[str, Any]] = {
    "final": {"recipe": "study", "arithmetic": "study", "seed": 1},
    "fast": {"recipe": "fast", "arithmetic": "own", "seed": 1},
    "fast_2": {"recipe": "fast", "arithmetic": "own", "seed": 2},
}
CIFAR10: dict[str, Any] = {
    "kind": "cifar10",
    "folder": "raw",
    "train_images": 10,
    "validation_images": 10,
    "seed": 1,
}
PHOTOS: dict[str, Any] = {
    "kind": "photos",
    "folder": "data/<b>my_pictures &c",
    "side": 48,
    "framing": "whole",
    "validation_share": 0.1,
    "test_share": 0.1,
    "duplicates": "keep",
    "seed": 1,
}
# Called as columns are, as a missing value is, and by what HTML, Markdown and CSV have uses for.
ODD = ["class", "nan", "<b>b</b>", "a|b", "a,b", 'say "hi"', "$5 & $6", "Käse"]


def files_of(
    folder: Path,
    model: Path,
    *,
    dataset: dict[str, Any] = CIFAR10,
    classes: list[str] = made_up.NAMES,
    side: int = 32,
    samples: int = 2,
) -> Path:
    """What stage page and compare read, in `folder`."""
    shutil.copytree(PROJECT / "pipeline/page", folder / "pipeline/page")
    shutil.copytree(PROJECT / "requirements", folder / "requirements")
    full = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings = {"variant": "fast", "mistakes": 7, "samples": samples, "jpeg_quality": 60}
    params = full | {"variants": VARIANTS, "page": settings, "dataset": dataset}
    # A study of photos, in which these tests run too, has other recipes.
    params["recipes"] = {"fast": full["recipes"]["best"]} | full["recipes"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / compare.PUBLISHED).parent.mkdir()
    shutil.copy(PROJECT / compare.PUBLISHED, folder / compare.PUBLISHED)
    for variant, right, epochs in (("final", 70, 4), ("fast", 80, 8), ("fast_2", 90, 8)):
        validated = variant == "final"
        made_up.write(
            variant, right, folder=folder, epochs=epochs, validated=validated, classes=classes
        )
    (folder / places.model("fast")).parent.mkdir()
    shutil.copy(model, folder / places.model("fast"))
    count = 100 * len(classes)
    images = np.random.default_rng(1).integers(0, 256, (count, side, side, 3), np.uint8)
    images = images.astype(np.float32) / 255
    labels = np.eye(len(classes), dtype=np.float32)[np.arange(count) // 100]
    files.write_arrays(folder / "data/processed/test.npz", images=images, labels=labels)
    digest = training_times.history_digest("final", folder)
    rows = ["pipeline,final," + digest + ",75,2 cores", "pipeline,fast,other,9,2 cores"]
    rows += ["notebook,final,,80,2 cores", "notebook,gone,,90,2 cores"]
    files.write_text(folder / training_times.PATH, "\n".join([training_times.HEADER, *rows]))
    return folder


def network(path: Path, *, classes: int = 10, side: int = 32) -> Path:
    """An untrained network of this shape, saved as `path`."""
    import keras

    image = keras.Input((side, side, 3), name="image")
    hidden = keras.layers.GlobalAveragePooling2D(name="mean")(image)
    answer = keras.layers.Dense(classes, activation="softmax", name="class")(hidden)
    keras.Model(image, answer, name="whitened").save(path)
    return path


def held(name: str) -> Any:
    """What the script element `name` of the page holds."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def tile(found: dict[str, Any], place: int) -> np.ndarray:
    """The picture at `place` of a sheet of the page, uint8 (S, S, 3)."""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["data"]))))
    side, (row, column) = found["side"], divmod(place, found["columns"])
    return picture[side * row : side * (row + 1), side * column : side * (column + 1)]
