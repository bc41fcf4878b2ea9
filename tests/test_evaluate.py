"""evaluate: its metrics, tables and figures, with a tiny Keras model."""

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

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import classes
from pipeline.evaluate import labelled, manner, mistakes, trained
from pipeline.evaluate import stage as evaluate
from pipeline.evaluate.metrics import METRICS
from pipeline.page import page_data
from pipeline.predict.litert_model import LiteRTModel
from pipeline.report import places, right

OUTPUTS = [
    "data/predictions/tiny.csv",
    "models/tiny.tflite",
    "reports/mistakes/tiny.png",
    "reports/variants/tiny/classes.csv",
    "reports/variants/tiny/examples.csv",
    "reports/variants/tiny/metrics.json",
    "reports/variants/tiny/reliability.csv",
    "reports/variants/tiny/right.png",
]
MODEL, TEST_SET = Path("models/tiny.keras"), Path("data/processed/test.npz")
IMAGES = 60
NAMES = ["Äpfel, rot", "$5 bill$", 'a "b"', "support", *"efghij"]


@pytest.fixture(scope="module")
def save_network(tensorflow_started: None) -> Callable[..., None]:
    """Saves a network whose inputs are the means of the image's quarters."""
    import keras

    def save(
        path: Path,
        *,
        side: int = 32,
        classes: int = 10,
        weight: float = 8,
        network: str = "plain",
    ) -> None:
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((side, side, 3)),
                keras.layers.AveragePooling2D(side // 2),
                keras.layers.Flatten(),
                keras.layers.Dense(classes, activation="softmax"),
            ],
            name=network,
        )
        model.layers[-1].set_weights([w * weight for w in model.layers[-1].get_weights()])
        path.parent.mkdir(exist_ok=True)
        model.save(path)

    return save


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_network: Callable[..., None]
) -> Path:
    """The current folder, with a test set and the model `tiny`."""
    params = workspace.read_params(PROJECT)
    params["runtime"]["inference_batch_size"] = 25  # no divisor of IMAGES
    workspace.write_params(tmp_path, params)
    generator = np.random.default_rng(1)
    images = generator.random((IMAGES, 32, 32, 3), np.float32)
    # Quarters of different brightness, so that the classes predicted differ.
    images *= generator.random((IMAGES, 2, 2, 3), np.float32).repeat(16, 1).repeat(16, 2)
    labels = np.eye(10, dtype=np.float32)[np.arange(IMAGES) % 10]
    files.write_arrays(tmp_path / "data/processed/test.npz", images=images, labels=labels)
    save_network(tmp_path / "models/tiny.keras")
    monkeypatch.chdir(tmp_path)
    classes.write(NAMES)
    return tmp_path


def outputs() -> dict[str, bytes]:
    """The content of each output of evaluate by its path."""
    folders = ("reports", "data/predictions", "models")
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.*"))
    return {str(path): path.read_bytes() for path in paths if path.suffix != ".keras"}


def evaluated() -> tuple[dict[str, float], pd.DataFrame]:
    """The metrics and predictions of an evaluation."""
    evaluate.main(["tiny"])
    metrics = json.loads(places.metrics("tiny").read_text())
    return metrics, pd.read_csv(places.predictions("tiny"))


def edit_params(**sections: dict[str, Any]) -> None:
    """Replace whole sections of params.yaml; `tiny` is a variant of the recipe `study`."""
    params = workspace.read_params(Path())
    params["variants"]["tiny"] = {"recipe": "study"}
    workspace.write_params(Path(), params | sections)


def test_metrics_and_tables_agree_with_keras(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, predictions = evaluated()
    assert "60 test images" in capsys.readouterr().out
    first = outputs()
    assert sorted(first) == OUTPUTS
    evaluate.main(["tiny"])
    assert outputs() == first

    import keras

    model = keras.saving.load_model("models/tiny.keras")
    model.compile(
        loss="categorical_crossentropy",
        metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2, name="top2_accuracy")],
    )
    images, labels = files.read_arrays(TEST_SET, "images", "labels")
    expected = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=2e-6)
    assert set(metrics) == {*METRICS, "parameters"}
    assert metrics["one_view_accuracy"] == metrics["accuracy"]
    assert metrics["parameters"] == 12 * 10 + 10

    predicted = model.predict(images, verbose=0).argmax(axis=1)
    actual = labels.argmax(axis=1)
    assert list(predictions["index"]) == list(range(IMAGES))
    assert list(predictions["predicted"]) == [NAMES[k] for k in predicted]
    assert list(predictions["actual"]) == [NAMES[k] for k in actual]
    assert predictions["predicted"].nunique() > 3
    assert labelled.read(places.litert("tiny")) == tuple(NAMES)
    bins = pd.read_csv(places.reliability("tiny"))
    assert bins["images"].sum() == IMAGES
    by_class = pd.read_csv(places.classes("tiny"), header=None, skiprows=1)
    by_class.columns = ["class", "precision", "recall", "f1", "count", *NAMES]
    assert by_class["f1"].mean() == pytest.approx(metrics["macro_f1"], abs=1e-6)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (actual, predicted), 1)
    assert by_class[NAMES].to_numpy().tolist() == counts.tolist()
    assert (counts != counts.T).any()
    correct = right.read(places.right("tiny"), IMAGES, "")
    assert correct.tolist() == (predicted == actual).tolist()
    examples = page_data.read_examples("tiny", NAMES, IMAGES)
    assert {*zip(examples["actual"], examples["predicted"], strict=True)} == {
        *zip(*np.nonzero(counts), strict=True)
    }
    for row in examples.itertuples():
        assert (actual[row.index], predicted[row.index]) == (row.actual, row.predicted)
        assert row.confidence == pytest.approx(predictions["confidence"][row.index], abs=1e-6)
    for path in (places.predictions("tiny"), places.classes("tiny")):
        content = path.read_bytes()
        assert b"\r" not in content
        assert {len(digits) for digits in re.findall(rb"[.](\d+)", content)} == {6}


def test_metrics_are_of_the_averaged_views_but_for_one(
    project: Path, save_network: Callable[..., None]
) -> None:
    save_network(project / "models/tiny.keras", network="whitened")
    edit_params(views={"whitened": {"mirrored": True, "shift": 0, "sure": 1.0}})
    metrics, predictions = evaluated()

    import keras

    model = keras.saving.load_model("models/tiny.keras")
    images, labels = files.read_arrays(TEST_SET, "images", "labels")
    labels = labels.argmax(axis=1)
    one_view, mirrored = (
        np.asarray(model.predict(view, verbose=0), np.float64)
        for view in (images, images[:, :, ::-1])
    )
    averaged = np.sqrt(one_view * mirrored)
    averaged /= averaged.sum(axis=1, keepdims=True)
    for name, probabilities in (("one_view_accuracy", one_view), ("accuracy", averaged)):
        accuracy = (probabilities.argmax(axis=1) == labels).mean()
        assert metrics[name] == pytest.approx(accuracy, abs=1e-6)
    assert metrics["one_view_accuracy"] != metrics["accuracy"]
    loss = -np.log(averaged[np.arange(IMAGES), labels]).mean()
    assert metrics["loss"] == pytest.approx(loss, abs=2e-6)
    assert predictions["predicted"].tolist() == [NAMES[k] for k in averaged.argmax(axis=1)]


def test_views_are_of_the_network_and_temperature_of_the_recipe(
    project: Path, save_network: Callable[..., None]
) -> None:
    tta = {"mirrored": True, "shift": 1, "sure": 0.9}
    edit_params(temperatures={"study": 1.0}, views={})
    metrics, predictions = evaluated()
    edit_params(temperatures={"study": 4.0, "best": 2.0}, views={"whitened": tta})
    warmer, flat = evaluated()
    assert warmer["accuracy"] == metrics["accuracy"]
    assert predictions["predicted"].tolist() == flat["predicted"].tolist()
    # p1 / p2 is exp of the difference of two logits, which the temperature divides.
    ratios = [
        np.log(table["confidence"] / table["second_confidence"]) for table in (predictions, flat)
    ]
    np.testing.assert_allclose(ratios[0] / 4, ratios[1], atol=2e-3)
    params = workspace.read_params(Path())
    for variants in ({"tiny": {"recipe": "trial"}}, {}):
        params["variants"] = variants
        assert manner.read(params, "tiny", "plain") == manner.PLAIN
    with pytest.raises(PipelineError, match="temperatures: expected a mapping"):
        manner.read(params | {"temperatures": 1.0}, "tiny", "plain")


def test_litert_computes_the_same_logits(project: Path, save_network: Callable[..., None]) -> None:
    save_network(project / "models/tiny.keras", weight=2)
    evaluate.main(["tiny"])
    images, _ = files.read_arrays(TEST_SET, "images", "labels")
    model = LiteRTModel(places.litert("tiny"))
    logits = model.predict_logits(images, batch_size=7, inference_config=manner.PLAIN)
    expected, _ = trained.answers(
        trained.load("tiny"), images, batch_size=7, variant="tiny", manner=manner.PLAIN
    )
    assert np.ptp(expected) > 2
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_every_setting_is_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most_confident = MagicMock(wraps=mistakes.most_confident)
    monkeypatch.setattr(mistakes, "most_confident", most_confident)
    answers = MagicMock(wraps=trained.answers)
    monkeypatch.setattr(trained, "answers", answers)
    edit_params(
        runtime=workspace.read_params(Path())["runtime"] | {"inference_batch_size": 23},
        evaluate={"calibration_bins": 3, "mistakes": 3, "examples": 2},
        predict={"unlikely": 1.0},
    )
    metrics, _ = evaluated()
    assert answers.call_args.kwargs["batch_size"] == 23
    assert metrics["told_unlikely"] == 1
    assert {*pd.read_csv(places.reliability("tiny"))["up_to"]} <= {0.333333, 0.666667, 1.0}
    assert most_confident.call_args.args[2] == 3
    pairs = page_data.read_examples("tiny", NAMES, IMAGES).groupby(["actual", "predicted"])
    assert pairs.size().max() == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def replace_by_code(path: Path) -> None:
    """A model with a layer that would run Python code from the file."""
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    keras.Sequential([*layers, keras.layers.Lambda(lambda output: output)], name="plain").save(path)


def write_test_set(path: Path, *shapes: tuple[int, ...]) -> None:
    images, labels = map(np.zeros, shapes)
    files.write_arrays(path, images=images, labels=labels)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: MODEL.unlink(), r"tiny\.keras: .*train@tiny"),
        (lambda _: truncate(MODEL), r"tiny\.keras: .*train@tiny"),
        (lambda _: replace_by_code(MODEL), r"tiny\.keras: .*train@tiny"),
        (lambda save: save(MODEL, side=16), r"input of shape .*train@tiny"),
        (lambda save: save(MODEL, classes=7), r"output of shape .*train@tiny"),
        (lambda save: save(MODEL, weight=float("nan")), r"finite numbers .*train@tiny"),
        (lambda _: write_test_set(TEST_SET, (0, 32, 32, 3), (0, 10)), r"test\.npz: .*preprocess"),
        (lambda _: write_test_set(TEST_SET, (4, 32, 32, 3), (4,)), r"test\.npz: .*preprocess"),
        (lambda _: classes.PATH.unlink(), r"classes\.txt: .*preprocess"),
    ],
)
def test_bad_input_names_the_stage_that_makes_it(
    project: Path,
    save_network: Callable[..., None],
    damage: Callable[[Callable[..., None]], object],
    message: str,
) -> None:
    damage(save_network)
    with pytest.raises(PipelineError, match=message) as error:
        evaluate.main(["tiny"])
    assert str(project) not in str(error.value)
    assert outputs() == {}


def test_exactly_one_variant() -> None:
    for arguments in ([], ["tiny", "deep"]):
        with pytest.raises(PipelineError, match="expected one variant"):
            evaluate.main(arguments)
