"""evaluate: its figures and tables, on made-up probabilities and on a tiny Keras model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT
from matplotlib import image

from pipeline import config, evaluate, evaluation_tables, files, mistakes, runtime, trained
from pipeline.cifar10 import CLASSES
from pipeline.errors import PipelineError

OUTPUTS = ["classes.csv", "metrics.json", "mistakes.png", "predictions.csv"]
IMAGES = 60


def made_up_probabilities() -> tuple[np.ndarray, np.ndarray]:
    """Labels (4,) and probabilities (4, 10): right, wrong at 0.6, wrong at 0.9, right."""
    labels = np.array([3, 5, 0, 9])
    probabilities = np.zeros((4, 10), np.float32)
    probabilities[0, [3, 5]] = 0.75, 0.25
    probabilities[1, [3, 5]] = 0.625, 0.375
    probabilities[2, [8, 1]] = 0.875, 0.125
    probabilities[3, [9, 1]] = 0.625, 0.375
    return labels, probabilities


def test_measure() -> None:
    labels, probabilities = made_up_probabilities()
    found = evaluate.measure(
        labels,
        probabilities,
        loss=1.23456789,
        one_view_accuracy=0.12345678,
        calibration_bins=1,
        parameters=7,
    )
    confidence = (0.75 + 0.625 + 0.875 + 0.625) / 4
    f1 = [2 / 3, 1.0]  # of cat (one of two right guesses) and truck; the other eight have 0
    assert found.model_dump() == {
        "accuracy": 0.5,
        "loss": 1.234568,
        "top2_accuracy": 0.75,
        "macro_f1": round(sum(f1) / 10, 6),
        "calibration_error": round(confidence - 0.5, 6),
        "one_view_accuracy": 0.123457,
        "parameters": 7,
    }


def test_tables() -> None:
    labels, probabilities = made_up_probabilities()
    confusion = evaluate.confusion_matrix(labels, probabilities)
    counts = evaluation_tables.per_class(confusion).set_index("class")[list(CLASSES)]
    assert tuple(counts.index) == CLASSES
    assert counts.loc["dog", "cat"] == counts.loc["airplane", "ship"] == 1
    assert counts.loc["cat", "dog"] == 0
    per_class = evaluation_tables.per_class(confusion).set_index("class")
    assert per_class.loc["cat"].tolist()[:4] == [0.5, 1, pytest.approx(2 / 3), 1]
    predictions = evaluation_tables.predictions(labels, probabilities)
    assert predictions.iloc[1].tolist() == [1, "dog", "cat", 0.625, "dog", 0.375]
    assert list(predictions["index"]) == [0, 1, 2, 3]


def test_mistakes_are_the_wrong_ones_by_confidence() -> None:
    labels, probabilities = made_up_probabilities()
    assert mistakes.most_confident(labels, probabilities, 20).tolist() == [2, 1]
    assert mistakes.most_confident(labels, probabilities, 1).tolist() == [2]
    twice = np.tile(probabilities, (2, 1))
    assert mistakes.most_confident(np.tile(labels, 2), twice, 20).tolist() == [2, 6, 1, 5]


@pytest.mark.parametrize("wrong", [0, 1, 23])
def test_gallery_of_any_number_of_mistakes(tmp_path: Path, wrong: int) -> None:
    labels = np.arange(30) % 10
    probabilities = np.eye(10, dtype=np.float32)[(labels + (np.arange(30) < wrong)) % 10]
    images = np.random.default_rng(1).random((30, 32, 32, 3), np.float32)
    drawn: dict[str, Any] = {"images": images, "labels": labels, "probabilities": probabilities}
    paths = [tmp_path / name for name in ("one.png", "two.png")]
    for path in paths:
        mistakes.draw(path, "final", **drawn, count=20)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    height, width, _ = image.imread(paths[0]).shape
    assert width == 900
    assert height == pytest.approx(60 + 220 * max(1, -(-min(wrong, 20) // 5)), abs=1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("calibration_bins", 0),
        ("calibration_bins", 1.5),
        ("mistakes", 101),
        ("mistakes", "20"),
        ("unknown", 1),
    ],
)
def test_refuses_wrong_params(key: str, value: Any) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    config.section(params, "evaluate", evaluate.Evaluate)
    params["evaluate"][key] = value
    with pytest.raises(PipelineError, match=rf"evaluate\.{key}: "):
        config.section(params, "evaluate", evaluate.Evaluate)


@pytest.fixture(scope="module")
def save_network() -> Callable[..., None]:
    """Saves a network that looks at a pixel per quarter of the image, by its output's size."""
    params = config.read(PROJECT / "params.yaml")
    runtime.start(config.section(params, "runtime", runtime.Runtime))
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
    """A project folder with a test set and the model `tiny`, entered."""
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["runtime"]["inference_batch_size"] = 25  # no divisor of IMAGES
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    generator = np.random.default_rng(1)
    images = generator.random((IMAGES, 32, 32, 3), np.float32)
    # Quarters of different brightness, so that the classes predicted differ.
    images *= generator.random((IMAGES, 2, 2, 3), np.float32).repeat(16, 1).repeat(16, 2)
    labels = np.eye(10, dtype=np.float32)[np.arange(IMAGES) % 10]
    files.write_arrays(tmp_path / "data/processed/test.npz", images=images, labels=labels)
    save_network(tmp_path / "models/tiny.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_agrees_with_keras_and_repeats_its_bytes(project: Path) -> None:
    evaluate.main(["tiny"])
    folder = project / "reports/tiny"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(first) == OUTPUTS
    evaluate.main(["tiny"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first

    import keras

    model = keras.saving.load_model("models/tiny.keras")
    model.compile(
        loss="categorical_crossentropy",
        metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2, name="top2_accuracy")],
    )
    with np.load("data/processed/test.npz") as data:
        expected = model.evaluate(data["images"], data["labels"], verbose=0, return_dict=True)
    found = json.loads(first["metrics.json"])
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=2e-6)
    assert found["one_view_accuracy"] == found["accuracy"]
    assert found["parameters"] == 12 * 10 + 10
    predictions = pd.read_csv(folder / "predictions.csv")
    assert len(predictions) == IMAGES
    assert (predictions["actual"] == predictions["predicted"]).mean() == pytest.approx(
        found["accuracy"], abs=1e-6
    )
    assert predictions["predicted"].nunique() > 3
    counts = pd.read_csv(folder / "classes.csv", index_col="class")[list(CLASSES)]
    assert np.trace(counts.to_numpy()) == round(found["accuracy"] * IMAGES)
    assert pd.read_csv(folder / "classes.csv")["f1"].mean() == pytest.approx(
        found["macro_f1"], abs=1e-6
    )


def test_figures_are_of_the_views_averaged_but_for_one(
    project: Path, save_network: Callable[..., None]
) -> None:
    save_network(project / "models/tiny.keras", network="whitened")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["views"]["whitened"] = {"mirrored": True, "shift": 0}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    evaluate.main(["tiny"])

    import keras

    model = keras.saving.load_model("models/tiny.keras")
    with np.load("data/processed/test.npz") as data:
        images, labels = data["images"], data["labels"].argmax(axis=1)
    alone, mirrored = (
        np.asarray(model.predict(view, verbose=0), np.float64)
        for view in (images, images[:, :, ::-1])
    )
    both = np.sqrt(alone * mirrored)
    both /= both.sum(axis=1, keepdims=True)
    found = json.loads((project / "reports/tiny/metrics.json").read_text())
    for name, answer in (("one_view_accuracy", alone), ("accuracy", both)):
        assert found[name] == pytest.approx((answer.argmax(axis=1) == labels).mean(), abs=1e-6)
    assert found["one_view_accuracy"] != found["accuracy"]
    expected = -np.log(both[np.arange(IMAGES), labels]).mean()
    assert found["loss"] == pytest.approx(expected, abs=2e-6)
    predictions = pd.read_csv(project / "reports/tiny/predictions.csv")
    assert predictions["predicted"].tolist() == [CLASSES[k] for k in both.argmax(axis=1)]


def test_a_model_of_a_network_that_params_do_not_name(
    project: Path, save_network: Callable[..., None]
) -> None:
    save_network(project / "models/tiny.keras", network="dense")
    with pytest.raises(PipelineError, match=r"views\.dense: not found; views has plain, whitened"):
        evaluate.main(["tiny"])


def test_every_setting_is_heeded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heeded: dict[str, Any] = {}

    def spy(module: Any, name: str) -> None:
        original = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            heeded.update(named)
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, call)

    spy(trained, "probabilities")
    spy(evaluate, "measure")
    spy(mistakes, "draw")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["runtime"]["inference_batch_size"] = 23
    params["evaluate"] = {"calibration_bins": 7, "mistakes": 3}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    evaluate.main(["tiny"])
    assert (heeded["batch_size"], heeded["calibration_bins"], heeded["count"]) == (23, 7, 3)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def replace_by_code(path: Path) -> None:
    """A model with a layer that would run Python code from the file."""
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    keras.Sequential([*layers, keras.layers.Lambda(lambda output: output)], name="plain").save(path)


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, truncate, replace_by_code, lambda path: path.write_bytes(b"no archive")],
    ids=["missing", "truncated", "code", "foreign"],
)
def test_a_bad_model_names_the_stage_that_makes_it(
    project: Path, damage: Callable[[Path], object]
) -> None:
    damage(project / "models/tiny.keras")
    with pytest.raises(PipelineError, match=r"tiny\.keras: .*run `dvc repro train@tiny`") as caught:
        evaluate.main(["tiny"])
    assert str(project) not in str(caught.value)
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"side": 16}, r"input of shape \(32, 32, 3\), found \(16, 16, 3\)"),
        ({"classes": 7}, r"output of shape \(10,\), found \(7,\)"),
        ({"weight": float("nan")}, r"sum to 1 .*found values from nan"),
    ],
)
def test_refuses_a_model_that_gives_no_class_probabilities(
    project: Path, save_network: Callable[..., None], wrong: dict[str, Any], message: str
) -> None:
    save_network(project / "models/tiny.keras", **wrong)
    with pytest.raises(PipelineError, match=rf"models/tiny\.keras: expected .*{message}"):
        evaluate.main(["tiny"])
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("images", "labels"),
    [((0, 32, 32, 3), (0, 10)), ((4, 32, 32), (4, 10)), ((4, 32, 32, 3), (4,))],
)
def test_refuses_a_test_set_of_other_shapes(
    project: Path, images: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    path = project / "data/processed/test.npz"
    files.write_arrays(path, images=np.zeros(images), labels=np.zeros(labels))
    with pytest.raises(PipelineError, match=r"test\.npz: .*dvc repro preprocess"):
        evaluate.main(["tiny"])
    assert not (project / "reports").exists()


@pytest.mark.parametrize("arguments", [[], ["tiny", "deep"]])
def test_needs_exactly_one_variant(arguments: list[str]) -> None:
    with pytest.raises(PipelineError, match="expected one variant"):
        evaluate.main(arguments)
