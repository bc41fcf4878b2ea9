"""evaluate: its metrics and tables, with a tiny Keras model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
import workspace
from conftest import PROJECT

from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.core.splits import read_split
from pipeline.datasets.preprocess import write_npz
from pipeline.evaluation import evaluate, inference
from pipeline.evaluation.config import read_metadata
from pipeline.evaluation.metrics import METRICS

OUTPUTS = [
    "models/tiny.tflite",
    "reports/variants/tiny/classes.csv",
    "reports/variants/tiny/metrics.json",
    "reports/variants/tiny/predictions.csv",
]
MODEL = Path("models/tiny.keras")
IMAGES = 60
NAMES = ["Äpfel, rot", "$5 bill$", 'a "b"', "support", *"efghij"]
NO_TTA = {"horizontal_flip": False, "shift": 0, "confidence_threshold": 1.0}


@pytest.fixture(scope="module")
def save_network(tensorflow_started: None) -> Callable[..., None]:
    """Saves a network whose inputs are the means of the image's quarters."""
    import keras

    def save(*, classes: int = 10, weight: float = 8) -> None:
        keras.utils.set_random_seed(1)
        quarters = [keras.Input((32, 32, 3)), keras.layers.AveragePooling2D(16)]
        head = [keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax")]
        model = keras.Sequential([*quarters, *head])
        model.layers[-1].set_weights([w * weight for w in model.layers[-1].get_weights()])
        MODEL.parent.mkdir(exist_ok=True)
        model.save(MODEL)

    return save


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_network: Callable[..., None]
) -> Path:
    """The current folder, with a test set and the model of the variant `tiny`."""
    monkeypatch.chdir(tmp_path)
    params = workspace.read_params(PROJECT)
    params["variants"] = {"tiny": {"data": "processed", "network": "cnn", "recipe": "study"}}
    params["inference"]["batch_size"] = 25  # no divisor of IMAGES
    workspace.write_params(tmp_path, params)
    generator = np.random.default_rng(1)
    images = generator.random((IMAGES, 32, 32, 3), np.float32)
    # Quarters of different brightness, so that the classes predicted differ.
    images *= generator.random((IMAGES, 2, 2, 3), np.float32).repeat(16, 1).repeat(16, 2)
    labels = np.eye(10, dtype=np.float32)[np.arange(IMAGES) % 10]
    write_npz(paths.split("test"), images=images, labels=labels)
    write_npz(paths.split("validation"), images=images[:30], labels=labels[29::-1])
    files.write_text(paths.CLASS_NAMES, "\n".join(NAMES))
    save_network()
    return tmp_path


def outputs() -> dict[str, bytes]:
    """The content of each output of evaluate by its path."""
    found = sorted(path for folder in ("reports", "models") for path in Path(folder).rglob("*.*"))
    return {str(path): path.read_bytes() for path in found if path != MODEL}


def run() -> tuple[dict[str, float], pd.DataFrame]:
    """The metrics and predictions of an evaluation."""
    evaluate.main(["tiny"])
    metrics = json.loads(paths.metrics("tiny").read_text())
    return metrics, pd.read_csv(paths.predictions("tiny"))


def edit_params(**sections: dict[str, Any]) -> None:
    """Replace whole sections of params.yaml."""
    workspace.write_params(Path(), workspace.read_params(Path()) | sections)


@pytest.mark.usefixtures("project")
def test_metrics_and_tables_agree_with_keras() -> None:
    metrics, predictions = run()
    first = outputs()
    assert sorted(first) == OUTPUTS
    evaluate.main(["tiny"])
    assert outputs() == first

    import keras

    model = keras.saving.load_model(MODEL)
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    images, labels = read_split("test")
    expected = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=2e-6)
    assert set(metrics) == {*METRICS, "parameters"}
    assert metrics["accuracy_no_tta"] == metrics["accuracy"]
    assert metrics["parameters"] == 12 * 10 + 10

    probabilities = model.predict(images, verbose=0)
    predicted, actual = probabilities.argmax(axis=1), labels.argmax(axis=1)
    assert list(predictions["predicted"]) == [NAMES[k] for k in predicted]
    assert list(predictions["actual"]) == [NAMES[k] for k in actual]
    assert predictions["predicted"].nunique() > 3
    np.testing.assert_allclose(predictions["confidence"], probabilities.max(axis=1), atol=2e-6)
    class_names, config = read_metadata(paths.tflite("tiny"))
    assert class_names == tuple(NAMES)
    assert (config.temperature, config.rejection_threshold) == (1.0, 0.5)
    by_class = pd.read_csv(paths.classes("tiny"))
    assert by_class["class"].tolist() == NAMES
    assert by_class["f1"].mean() == pytest.approx(metrics["macro_f1"], abs=1e-6)
    assert by_class["support"].tolist() == [6] * 10
    for path in (paths.predictions("tiny"), paths.classes("tiny")):
        content = path.read_bytes()
        assert b"\r" not in content
        assert {len(digits) for digits in re.findall(rb"[.](\d+)", content)} == {6}


@pytest.mark.usefixtures("project")
def test_every_setting_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, predictions = run()
    predict_logits = MagicMock(wraps=inference.predict_logits)
    monkeypatch.setattr(evaluate, "predict_logits", predict_logits)
    edit_params(
        inference={"cpu_isa": "AVX2", "batch_size": 23},
        predict={"rejection_threshold": 1.0, "rejection_rate": 0.5},
        temperatures={"study": 4.0, "best": 2.0},
        test_time_augmentation={"cnn": NO_TTA | {"horizontal_flip": True}},
    )
    changed, flat = run()
    assert predict_logits.call_args.kwargs["batch_size"] == 23
    assert changed["rejection_rate"] == 1
    assert changed["accuracy_no_tta"] == metrics["accuracy"] != changed["accuracy"]
    assert flat["confidence"].max() < predictions["confidence"].max()


@pytest.mark.usefixtures("project")
def test_temperature_and_rejection_threshold_are_fitted_on_validation_images() -> None:
    """A network with random weights is far too sure."""
    before, _ = run()
    edit_params(temperatures={"study": None})
    after, predictions = run()
    _, config = read_metadata(paths.tflite("tiny"))
    assert after["temperature"] == config.temperature > 1.5
    assert after["rejection_threshold"] == config.rejection_threshold
    assert after["loss"] < before["loss"]
    assert after["accuracy"] == before["accuracy"]
    quantile = predictions["confidence"][:30].quantile(0.05)  # the same images
    assert config.rejection_threshold <= quantile < config.rejection_threshold + 0.001


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: MODEL.unlink(), r"tiny\.keras: .*train@tiny"),
        (lambda _: MODEL.write_bytes(MODEL.read_bytes()[:1000]), r"tiny\.keras: .*train@tiny"),
        (lambda save: save(classes=7), r"tiny\.keras: .*train@tiny"),
        (lambda save: save(weight=float("nan")), "learning_rate"),
        (lambda _: paths.split("test").unlink(), r"test\.npz: .*preprocess"),
        (lambda _: edit_params(temperatures={}), "temperatures.study"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    project: Path, save_network: Callable[..., None], damage: Callable[..., object], message: str
) -> None:
    damage(save_network)
    with pytest.raises(PipelineError, match=message) as error:
        evaluate.main(["tiny"])
    assert str(project) not in str(error.value)
    assert outputs() == {}
