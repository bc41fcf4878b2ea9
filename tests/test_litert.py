"""Networks as LiteRT runs them: the answers of Keras, from the files of evaluate and of export."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes
from pipeline.datasets.cifar10 import CLASSES
from pipeline.evaluate import labelled, litert, manner, scores, trained
from pipeline.predict import export
from pipeline.predict.litert_model import LiteRTModel
from pipeline.predict.predictor import load_predictor
from pipeline.report import places
from pipeline.train import variant

IMAGES = np.random.default_rng(1).random((7, 32, 32, 3), np.float32)
EXPORTED = Path("reports/fast.tflite")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensorflow_started: None) -> Path:
    """The current folder: params.yaml with narrow networks, class names."""
    params = params_file.read(PROJECT / "params.yaml")
    for name in ("final", "fast"):
        params["variants"][name]["widths"] = [8, 12]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    classes.write(CLASSES)
    return tmp_path


def save_keras(name: str) -> None:
    """models/NAME.keras with random weights and logits of about -10 to 10."""
    model = variant.read(params_file.read(), name).build(
        shape=(32, 32, 3), classes=len(CLASSES), training=False
    )
    random = np.random.default_rng(1).random
    model.set_weights([random(weights.shape) for weights in model.get_weights()])
    last = model.layers[-1]
    scale = np.float32(0.1) / np.abs(last.get_weights()[0]).mean()
    last.set_weights([weights * scale for weights in last.get_weights()])
    Path("models").mkdir(exist_ok=True)
    model.save(places.model(name))


def keras_probabilities(name: str) -> np.ndarray:
    model = trained.load(name)
    config = manner.read(params_file.read(), name, model.name)
    logits, _ = trained.answers(model, IMAGES, batch_size=7, variant=name, manner=config)
    return scores.softmax(logits)


def litert_probabilities(path: Path, *, batch_size: int) -> np.ndarray:
    network = {"final": "plain", "fast": "whitened"}[path.stem]
    config = manner.read(params_file.read(), path.stem, network)
    model = LiteRTModel(path)
    return scores.softmax(
        model.predict_logits(IMAGES, batch_size=batch_size, inference_config=config)
    )


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["final", "fast"])
def test_litert_computes_what_keras_does_in_batches_of_any_size(name: str) -> None:
    save_keras(name)
    litert.save(places.litert(name), trained.load(name), CLASSES)
    expected = keras_probabilities(name)
    assert np.ptp(expected, axis=1).min() > 0.05
    for batch_size in (3, 7, 100):
        found = litert_probabilities(places.litert(name), batch_size=batch_size)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.usefixtures("project")
def test_export_has_float16_weights_and_the_same_bytes_each_time() -> None:
    save_keras("fast")
    export.main([])
    content = EXPORTED.read_bytes()
    EXPORTED.unlink()
    export.main([])
    assert EXPORTED.read_bytes() == content
    litert.save(places.litert("fast"), trained.load("fast"), CLASSES)
    weights = 4 * trained.load("fast").count_params()
    assert places.litert("fast").stat().st_size - len(content) > 0.35 * weights
    assert labelled.read(EXPORTED) == CLASSES
    found = litert_probabilities(EXPORTED, batch_size=7)
    np.testing.assert_allclose(found, keras_probabilities("fast"), atol=0.01)
    places.litert("fast").unlink()
    assert load_predictor().path == EXPORTED


@pytest.mark.usefixtures("project")
def test_export_of_a_model_with_other_classes_writes_nothing() -> None:
    save_keras("fast")
    classes.write(CLASSES[:-1])
    with pytest.raises(PipelineError, match=r"models/fast\.keras"):
        export.main([])
    assert not EXPORTED.exists()


def save_linear(side: int, names: tuple[str, ...], kernel: np.ndarray) -> None:
    """models/final.tflite: the pixels (side, side, 3) times `kernel`."""
    import keras

    layers = [keras.Input((side, side, 3)), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(len(names), use_bias=False)])
    model.layers[-1].set_weights([kernel])
    Path("models").mkdir()
    litert.save(places.litert("final"), model, names)


@pytest.mark.usefixtures("project")
def test_logits_that_are_not_finite_are_refused() -> None:
    save_linear(32, CLASSES, np.full((32 * 32 * 3, len(CLASSES)), np.nan))
    with pytest.raises(PipelineError, match=r"final\.tflite"):
        load_predictor().predict(IMAGES)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("crop_mode", "expected"), [("whole", "Schuhe"), ("centre", "Tassen")])
def test_side_classes_and_crop_mode_are_those_of_the_data(crop_mode: str, expected: str) -> None:
    """A wide black photo has white above it where the whole is shown."""
    kernel = np.zeros((16, 16, 3, 2))
    kernel[0, ..., 1] = 1
    save_linear(16, ("Tassen", "Schuhe"), kernel.reshape(-1, 2))
    dataset: dict[str, Any] = {"kind": "photos", "folder": "photos", "side": 16}
    shares = {"validation_share": 0.1, "test_share": 0.1, "seed": 1, "duplicates": "keep"}
    params = params_file.read() | {"dataset": dataset | shares | {"framing": crop_mode}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    (prediction,) = load_predictor().predict(Image.new("RGB", (90, 40)))
    assert prediction.class_name == expected
    assert len(prediction.top) == 2
