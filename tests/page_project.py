"""A project with made-up results for the stage page, and readers of the page that it writes."""

import base64
import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.comparison import compare
from pipeline.core import files, paths
from pipeline.datasets.preprocess import write_npz
from pipeline.evaluation.config import append_metadata, read_inference_config
from pipeline.page import page

VARIANTS: dict[str, dict[str, Any]] = {
    "final": {"recipe": "study", "numerics": "study", "network": "cnn", "seed": 1},
    "fast": {"recipe": "fast", "numerics": "own", "network": "airbench", "seed": 1},
    "fast_2": {"recipe": "fast", "numerics": "own", "network": "airbench", "seed": 2},
}
CIFAR10 = yaml.safe_load(
    "{kind: cifar10, folder: raw, seed: 1, train_images: 10, validation_images: 10}"
)
PHOTOS = yaml.safe_load(
    "{kind: photos, folder: 'data/<b>my_pictures &c', side: 48, crop_mode: whole, seed: 1, "
    "duplicates: keep, validation_share: 0.1, test_share: 0.1}"
)
UNLIKE = "variant,model,photos,auroc,rejected,test_rejected\nfast"
# A column name, a missing value, and what HTML, Markdown, CSV and the template give a meaning.
ODD = ["class", "nan", "</script><!-- data -->", "a|b", "a,b", 'say "hi"', "$5 & $6", "Käse"]


def make_page(
    folder: Path, *, dataset: Any = CIFAR10, classes: list[str] = made_up.NAMES, side: int = 32
) -> Path:
    """A project in `folder` after the stages compare and page: two variants, one of two seeds."""
    for name in ("pipeline/page", "pipeline/comparison"):
        shutil.copytree(PROJECT / name, folder / name)
    full = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings = {"variant": "fast", "compared_with": ["final", "final"], "examples": 3}
    settings |= {"misclassified": 7, "samples": 2}
    params = full | {"variants": VARIANTS, "dataset": dataset, "page": full["page"] | settings}
    # These tests run in a study of photos too, which has other recipes.
    params["recipes"] = {"fast": full["recipes"]["best"]} | full["recipes"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for name, correct, epochs in (("final", 70, 4), ("fast", 80, 8), ("fast_2", 90, 8)):
        own: dict[str, Any] = {"epochs": epochs, "validated": name == "final"}
        made_up.write(name, correct, folder=folder, classes=classes, **own)
    for seed, variant in enumerate(("fast", "final")):
        save_model(folder / paths.model(variant), seed, classes=len(classes), side=side)
        config = read_inference_config(params, variant)
        append_metadata(folder / paths.tflite(variant), classes, config)
    labels = np.arange(100 * len(classes)) // 100
    images = np.random.default_rng(1).integers(0, 256, (len(labels), side, side, 3), np.uint8)
    write_npz(
        folder / paths.split("test"),
        images=images.astype(np.float32) / 255,
        labels=np.eye(len(classes), dtype=np.float32)[labels],
    )
    digest = files.sha256(folder / paths.tflite("fast"))
    files.write_text(folder / page.UNLIKE, f"{UNLIKE},{digest},700,0.9,0.25,0.125\n")
    digest = files.sha256(folder / paths.history("final"))
    for variant, history in (("final", digest), ("fast", "of another training")):
        run = {"history": history, "seconds": 75.0, "cores": 2, "processor": "P"}
        files.write_json(folder / paths.training_time(variant), run)
    with contextlib.chdir(folder):
        compare.main([])
        page.main([])
    return folder


def save_model(path: Path, seed: int, *, classes: int, side: int) -> None:
    """An untrained network of this shape, saved as `path`."""
    import keras

    path.parent.mkdir(exist_ok=True)
    keras.utils.set_random_seed(1 + seed)
    image = keras.Input((side, side, 3))
    hidden = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(16, 3, activation="relu")(image))
    probabilities = keras.layers.Dense(classes, activation="softmax")(hidden)
    keras.Model(image, probabilities).save(path)


def read_data(path: Path = page.PAGE, name: str = "data") -> Any:
    """The JSON in the page of this name."""
    text = path.read_text(encoding="utf-8").partition(f'id="{name}">')[2]
    return json.loads(text.partition("</script>")[0])


def read_image(content: str) -> np.ndarray:
    """The image of a file in base64, uint8 (S, S, 3)."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def read_weights(variant: str, path: Path = page.PAGE) -> list[np.ndarray]:
    """The arrays of the network of `variant` in the page, in Keras's order."""
    end = f'</script>\n<script>loadWeights("{variant}"'
    text = path.read_text(encoding="utf-8").partition(end)[0]
    (network,) = (each for each in read_data(path)["networks"] if each["variant"] == variant)
    return split_weights(network["layers"], text.rpartition(">")[2])


def split_weights(layers: list[dict[str, Any]], content: str) -> list[np.ndarray]:
    """The arrays of `layers` in base64."""
    data, arrays = base64.b64decode(content), []
    for shape in [shape for layer in layers for shape in layer["weights"]]:
        dtype = np.float16 if len(shape) > 1 else np.float32
        arrays.append(np.frombuffer(data, dtype, int(np.prod(shape))).reshape(shape))
        data = data[arrays[-1].nbytes :]
    assert not data
    return arrays
