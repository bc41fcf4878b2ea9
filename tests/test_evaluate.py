"""evaluate: its figures and tables, on made-up probabilities and on a tiny Keras model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT
from made_up import NAMES

from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes
from pipeline.evaluate import labelled, metrics, mistakes, tables, trained
from pipeline.evaluate import stage as evaluate
from pipeline.evaluate.manner import PLAIN
from pipeline.evaluate.views import ONE
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
IMAGES = 60


@pytest.fixture(scope="module")
def save_network() -> Callable[..., None]:
    """Saves a network that looks at a pixel per quarter of the image, by its output's size."""
    params = params_file.read(PROJECT / "params.yaml")
    runtime.start(params_file.section(params, "runtime", runtime.Runtime).cpu_isa)
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
    classes.write(NAMES)
    return tmp_path


def outputs(project: Path) -> dict[str, bytes]:
    """What evaluate wrote, by path."""
    folders = (project / "reports", project / "data/predictions")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += (project / "models").glob("*.tflite")
    return {str(path.relative_to(project)): path.read_bytes() for path in sorted(files)}


def test_agrees_with_keras_and_repeats_its_bytes(project: Path) -> None:
    evaluate.main(["tiny"])
    first = outputs(project)
    assert sorted(first) == OUTPUTS
    evaluate.main(["tiny"])
    assert outputs(project) == first

    import keras

    model = keras.saving.load_model("models/tiny.keras")
    model.compile(
        loss="categorical_crossentropy",
        metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2, name="top2_accuracy")],
    )
    with np.load("data/processed/test.npz") as data:
        images, labels = data["images"], data["labels"]
    expected = model.evaluate(images, labels, verbose=0, return_dict=True)
    found = json.loads(places.metrics("tiny").read_text())
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=2e-6)
    assert list(found) == [
        *("accuracy", "loss", "parameters", "top2_accuracy", "balanced_accuracy", "macro_f1"),
        *("calibration_error", "one_view_accuracy", "told_unlikely"),
    ]
    assert found["one_view_accuracy"] == found["accuracy"]
    assert found["parameters"] == 12 * 10 + 10

    chosen = model.predict(images, verbose=0).argmax(axis=1)
    actual = labels.argmax(axis=1)
    predictions = pd.read_csv(places.predictions("tiny"))
    assert list(predictions["index"]) == list(range(IMAGES))
    assert list(predictions["predicted"]) == [NAMES[k] for k in chosen]
    assert list(predictions["actual"]) == [NAMES[k] for k in actual]
    assert predictions["predicted"].nunique() > 3
    by_class = pd.read_csv(places.classes("tiny"))
    assert list(by_class["class"]) == NAMES
    assert list(by_class["support"]) == [6] * 10
    assert by_class["f1"].mean() == pytest.approx(found["macro_f1"], abs=1e-6)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (actual, chosen), 1)
    assert by_class[NAMES].to_numpy().tolist() == counts.tolist()
    assert (counts != counts.T).any()
    have = right.read(places.right("tiny"), IMAGES, "")
    assert have.tolist() == (chosen == actual).tolist()
    named = page_data.read_examples("tiny", NAMES, IMAGES)
    assert sorted({*zip(named["actual"], named["predicted"], strict=True)}) == sorted(
        {(int(i), int(j)) for i, j in zip(*np.nonzero(counts), strict=True)}
    )
    for index, is_, says, confidence in named.itertuples(index=False):
        assert (actual[index], chosen[index]) == (is_, says)
        assert confidence == pytest.approx(predictions["confidence"][index], abs=1e-6)


def test_classes_are_those_of_the_data_whatever_their_number_names_and_side(
    project: Path, save_network: Callable[..., None]
) -> None:
    names = ["Äpfel, rot", "$5 bill$", 'a "b"', "support"]
    generator = np.random.default_rng(2)
    images = generator.random((20, 48, 48, 3), np.float32)
    labels = np.eye(4, dtype=np.float32)[np.arange(20) % 4]
    files.write_arrays(project / "data/processed/test.npz", images=images, labels=labels)
    classes.write(names)
    save_network(project / "models/tiny.keras", side=48, classes=4)
    evaluate.main(["tiny"])
    said = pd.read_csv(places.predictions("tiny"))
    assert said["actual"].tolist() == names * 5
    by_class = pd.read_csv(places.classes("tiny"), header=None, index_col=False)
    assert by_class.iloc[0, 5:].tolist() == by_class.iloc[1:, 0].tolist() == names
    assert labelled.read(places.litert("tiny")) == tuple(names)


def test_tables_have_six_decimals_and_unix_line_ends(project: Path) -> None:
    evaluate.main(["tiny"])
    for path in (places.predictions("tiny"), places.classes("tiny")):
        content = path.read_bytes()
        assert b"\r" not in content
        assert re.search(rb",[01]\.\d{6},", content)
        assert not re.search(rb"\.\d{7}", content)


def test_says_how_good_the_variant_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.main(["tiny"])
    found = json.loads(places.metrics("tiny").read_text())
    said = f"accuracy {found['accuracy']:.4f}, loss {found['loss']:.4f} on 60 test images\n"
    assert capsys.readouterr().out == f"tiny: {said}"


def use_views(project: Path, **views: dict[str, Any]) -> None:
    """Make these the `views` of params.yaml, all of them."""
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["views"] = views
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def test_figures_are_of_the_views_averaged_but_for_one(
    project: Path, save_network: Callable[..., None]
) -> None:
    save_network(project / "models/tiny.keras", network="whitened")
    use_views(project, whitened={"mirrored": True, "shift": 0, "sure": 1.0})
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
    found = json.loads(places.metrics("tiny").read_text())
    for name, answer in (("one_view_accuracy", alone), ("accuracy", both)):
        assert found[name] == pytest.approx((answer.argmax(axis=1) == labels).mean(), abs=1e-6)
    assert found["one_view_accuracy"] != found["accuracy"]
    expected = -np.log(both[np.arange(IMAGES), labels]).mean()
    assert found["loss"] == pytest.approx(expected, abs=2e-6)
    predictions = pd.read_csv(places.predictions("tiny"))
    assert predictions["predicted"].tolist() == [NAMES[k] for k in both.argmax(axis=1)]
    have = right.read(places.right("tiny"), IMAGES, "")
    assert have.tolist() == (both.argmax(axis=1) == labels).tolist()


def test_a_network_without_views_of_its_own_sees_the_image_alone(
    project: Path, save_network: Callable[..., None]
) -> None:
    evaluate.main(["tiny"])
    before = outputs(project)
    save_network(project / "models/tiny.keras", network="dense")
    use_views(project, whitened={"mirrored": True, "shift": 1, "sure": 0.9})
    evaluate.main(["tiny"])
    after = outputs(project)
    for found in (before, after):
        del found["models/tiny.tflite"]  # has the network's name
    assert after == before


def test_probabilities_are_those_of_the_recipes_temperature(project: Path) -> None:
    def evaluated(temperature: float) -> tuple[dict[str, Any], pd.DataFrame]:
        params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
        params["variants"]["tiny"] = {"recipe": "study"}
        params["temperatures"] = {"study": temperature}
        (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        evaluate.main(["tiny"])
        return json.loads(places.metrics("tiny").read_text()), pd.read_csv(
            places.predictions("tiny")
        )

    (before, plain), (after, flat) = evaluated(1.0), evaluated(4.0)
    assert after["accuracy"] == before["accuracy"]
    assert plain["predicted"].tolist() == flat["predicted"].tolist()
    # p1 / p2 is e to the difference of two logits, which the temperature divides.
    ratios = [np.log(said["confidence"] / said["second_confidence"]) for said in (plain, flat)]
    np.testing.assert_allclose(ratios[0] / 4, ratios[1], atol=2e-3)


def test_reliability_has_each_image_in_its_bin(project: Path) -> None:
    evaluate.main(["tiny"])
    bins = pd.read_csv(places.reliability("tiny"))
    said = pd.read_csv(places.predictions("tiny"))
    assert bins["images"].sum() == IMAGES
    assert len(bins) > 2
    for up_to, images, confidence, accuracy in bins.itertuples(index=False):
        inside = said[said["confidence"].between(up_to - 1 / 15, up_to, inclusive="right")]
        assert len(inside) == images
        assert inside["confidence"].mean() == pytest.approx(confidence, abs=1e-5)
        hit = inside["actual"] == inside["predicted"]
        assert hit.mean() == pytest.approx(accuracy, abs=1e-5)


def test_litert_computes_what_keras_does(project: Path, save_network: Callable[..., None]) -> None:
    save_network(project / "models/tiny.keras", weight=2)
    evaluate.main(["tiny"])
    with np.load("data/processed/test.npz") as data:
        images = data["images"]
    model = LiteRTModel(places.litert("tiny"))
    quick = model.predict_logits(images, batch_size=7, inference_config=PLAIN)
    exact, _ = trained.answers(
        trained.load("tiny"), images, batch_size=7, variant="tiny", manner=PLAIN
    )
    assert np.ptp(exact) > 2
    np.testing.assert_allclose(quick, exact, atol=1e-5)


def test_every_setting_is_heeded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heeded: dict[str, Any] = {}

    def spy(module: Any, name: str) -> None:
        original = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            heeded[name] = (arguments, named)
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, call)

    spy(trained, "answers")
    spy(metrics, "measure")
    spy(mistakes, "draw")
    spy(tables, "examples")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["runtime"]["inference_batch_size"] = 23
    params["evaluate"] = {"calibration_bins": 7, "mistakes": 3, "examples": 2}
    params["predict"]["unlikely"] = 0.25
    params["variants"]["tiny"] = {"recipe": "study"}
    params["temperatures"]["study"] = 3.0
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    evaluate.main(["tiny"])
    assert heeded["answers"][1]["batch_size"] == 23
    assert heeded["answers"][1]["manner"] == (ONE, 3.0)
    said = heeded["measure"][0][0]
    assert (said.calibration_bins, said.unlikely) == (7, 0.25)
    assert len(pd.read_csv(places.reliability("tiny"))) <= 7
    assert heeded["draw"][1]["count"] == 3
    assert heeded["examples"][0][3] == 2


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
    assert outputs(project) == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"side": 16}, r"input of shape \(32, 32, 3\), found \(16, 16, 3\)"),
        ({"classes": 7}, r"output of shape \(10,\), found \(7,\)"),
        ({"weight": float("nan")}, r"finite numbers .*found values from nan"),
    ],
)
def test_refuses_a_model_that_gives_no_class_probabilities(
    project: Path, save_network: Callable[..., None], wrong: dict[str, Any], message: str
) -> None:
    save_network(project / "models/tiny.keras", **wrong)
    with pytest.raises(PipelineError, match=rf"models/tiny\.keras: expected .*{message}"):
        evaluate.main(["tiny"])
    assert outputs(project) == {}


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
    assert outputs(project) == {}


def test_needs_the_names_of_the_classes(project: Path) -> None:
    classes.PATH.unlink()
    with pytest.raises(PipelineError, match=r"classes\.txt: expected the names .*repro preprocess"):
        evaluate.main(["tiny"])
    assert outputs(project) == {}


@pytest.mark.parametrize("arguments", [[], ["tiny", "deep"]])
def test_needs_exactly_one_variant(arguments: list[str]) -> None:
    with pytest.raises(PipelineError, match="expected one variant"):
        evaluate.main(arguments)
