"""Prediction from end to end, by tiny networks that tell red, green and blue photos apart."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes
from pipeline.data.cifar10 import CLASSES
from pipeline.page import export_weights
from pipeline.predict import __main__ as command
from pipeline.predict import answer, carried, choice, classify, measured
from pipeline.report import places
from pipeline.tools import recorded

# The class that stands for each colour: the network's weights say so.
COLOURS = {"red": "airplane", "lime": "automobile", "blue": "bird"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sound.keras`, `large.keras` of 64 pixels, `wide.keras`, and `many.keras` of many views."""
    params = params_file.read(PROJECT / "params.yaml")
    runtime.start(params_file.section(params, "runtime", runtime.Runtime).cpu_isa)
    import keras

    folder = tmp_path_factory.mktemp("models")
    for name, height, width, network in (
        *(("sound", 32, 32, "plain"), ("large", 64, 64, "plain"), ("wide", 32, 64, "plain")),
        ("many", 32, 32, "whitened"),
    ):
        left = ((0, 0), (0, width // 2)) if name == "many" else 0  # what it looks at
        model = keras.Sequential(
            [
                keras.Input((height, width, 3)),
                keras.layers.Cropping2D(left),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(len(CLASSES), activation="softmax"),
            ],
            name=network,
        )
        model.layers[-1].set_weights([5 * np.eye(3, len(CLASSES)), np.zeros(len(CLASSES))])
        model.save(folder / f"{name}.keras")
    return folder


@pytest.fixture
def project(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with params.yaml, the model `final` with metrics, and three photos."""
    params = params_file.read(PROJECT / "params.yaml")
    params["runtime"]["inference_batch_size"] = 2  # so that three photos are two batches
    params["views"]["whitened"]["sure"] = 1.0
    params["temperatures"] = {}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    add_model(tmp_path, models, "final", 0.7)
    for colour in COLOURS:
        Image.new("RGB", (60, 40), colour).save(tmp_path / f"{colour}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_model(project: Path, models: Path, variant: str, accuracy: float | None) -> None:
    (project / "models").mkdir(exist_ok=True)
    shutil.copy(models / "sound.keras", project / "models" / f"{variant}.keras")
    files.write_text(
        project / places.classes(variant),
        "\n".join(["class,f1,class", *(f"{name},0.5,9" for name in CLASSES)]),
    )
    if accuracy is not None:
        add_metrics(project, variant, accuracy)


def add_metrics(project: Path, variant: str, accuracy: float) -> None:
    rest = {"loss": 1.0, "top2_accuracy": 0.9, "macro_f1": 0.6, "calibration_error": 0.1}
    metrics = {"accuracy": accuracy, **rest, "one_view_accuracy": 0.5, "parameters": 40}
    files.write_json(project / places.metrics(variant), metrics)


PHOTOS = [f"{colour}.png" for colour in COLOURS]
FIRST = f"{np.exp(5) / (np.exp(5) + 9):.1%}"  # softmax over one 5 and nine 0


@pytest.mark.usefixtures("project")
def test_text_names_the_variant_and_the_top_classes(capsys: pytest.CaptureFixture[str]) -> None:
    command.main([*PHOTOS, "--top", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "variant final, test accuracy 70.0%"
    assert lines[1:] == [
        f"red.png: airplane {FIRST}, automobile 0.6%",
        f"lime.png: automobile {FIRST}, airplane 0.6%",
        f"blue.png: bird {FIRST}, airplane 0.6%",
    ]


@pytest.mark.usefixtures("project")
def test_three_classes_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["red.png"])
    assert capsys.readouterr().out.count("%") == 1 + 3


@pytest.mark.usefixtures("project")
def test_json_is_one_object_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--json", "--top", "10", "blue.png", "red.png"])
    content = json.loads(capsys.readouterr().out)
    assert (content["variant"], content["test_accuracy"]) == ("final", 0.7)
    assert [item["image"] for item in content["predictions"]] == ["blue.png", "red.png"]
    assert list(content) == ["variant", "test_accuracy", "model", "predictions"]
    assert content["model"] == "models/final.keras"
    top = content["predictions"][0]["top"]
    assert {item["class"] for item in top} == set(CLASSES)
    assert top[0] == {"class": "bird", "probability": round(float(np.exp(5) / (np.exp(5) + 9)), 6)}
    assert sum(item["probability"] for item in top) == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("project")
def test_one_call_from_python() -> None:
    found = classify.photos(["lime.png"])
    (prediction,) = found.predictions
    assert (found.variant, found.test_accuracy, prediction.name) == ("final", 0.7, "lime.png")
    assert prediction.top(1)[0][0] == "automobile"
    assert prediction.image.shape == (32, 32, 3)
    assert prediction.probabilities.sum() == pytest.approx(1)


def test_the_views_of_the_network_are_averaged(project: Path, models: Path) -> None:
    """This one looks at the left half alone: without the mirror image it would see but red."""
    shutil.copy(models / "many.keras", project / "models/final.keras")
    photo = Image.new("RGB", (32, 32), "red")
    photo.paste("blue", (16, 0, 32, 32))
    photo.save("half.png")
    red, _, blue, *others = classify.photos(["half.png"]).predictions[0].probabilities
    assert red == pytest.approx(blue, rel=1e-5)
    # In the logits red and blue have 5 / 2 each, and the others 0.
    assert red / others[0] == pytest.approx(np.exp(5 / 2), rel=1e-4)


def test_standard_input(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO((project / "blue.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    command.main(["red.png", "-"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("red.png: airplane")
    assert lines[2].startswith("-: bird")


def test_the_most_accurate_model_present_is_asked(project: Path, models: Path) -> None:
    add_model(project, models, "baseline", 0.75)
    add_model(project, models, "adam", 0.6)
    add_model(project, models, "sgd", None)
    add_metrics(project, "deep", 0.99)  # whose model is not there
    known = ["baseline", "deep", "final"]
    assert choice.choose(None, known=known, runs=None) == "baseline"
    assert choice.choose("sgd", known=[], runs=None) == "sgd"


def test_a_variant_never_evaluated_can_be_named(
    project: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_model(project, models, "sgd", None)
    command.main(["red.png", "--variant", "sgd"])
    assert capsys.readouterr().out.startswith("variant sgd, not evaluated\nred.png: airplane")


def remove_models(project: Path) -> None:
    shutil.rmtree(project / "models")


def remove_all(project: Path) -> None:
    remove_models(project)
    shutil.rmtree(project / "reports")


def remove_metrics(project: Path) -> None:
    shutil.rmtree(project / "reports")


def spoil_metrics(project: Path) -> None:
    (project / places.metrics("final")).write_text('{"accuracy": "good"}')


def spoil_model(project: Path) -> None:
    (project / "models/final.keras").write_bytes(b"PK")


def remove_params(project: Path) -> None:
    (project / "params.yaml").unlink()


MISTAKES: dict[str, tuple[Any, list[str], str]] = {
    "unknown variant": (None, ["--variant", "finale"], "found 'finale'; did you mean 'final'?"),
    "known, no model": (
        None,
        ["--variant", "deep"],
        "models/deep.keras: expected a trained model, found no such file; "
        "run `dvc pull models/deep.keras` or `dvc repro train@deep`",
    ),
    "no model at all": (remove_models, [], "run `dvc pull models/final.keras` or `dvc repro train"),
    "nothing at all": (remove_all, [], "models: expected a trained model, found none; run `dvc re"),
    "no metrics": (remove_metrics, [], "run `dvc repro evaluate@final`, or name one with --v"),
    "bad metrics": (spoil_metrics, [], "metrics.json: expected numbers in JSON, accuracy, loss"),
    "bad model": (spoil_model, [], "models/final.keras: expected a Keras model"),
    "no params": (remove_params, [], "run from the project's top folder"),
    "top 0": (None, ["--top", "0"], "--top: expected 1 to 10, found 0"),
    "top 11": (None, ["--top", "11"], "--top: expected 1 to 10, found 11"),
    "plot no png": (None, ["--plot", "out.pdf"], "expected the name of a .png file, found out.pdf"),
    "plot on photo": (None, ["--plot", "./red.png"], "red.png is one of the images"),
    "bad images": (None, ["no.png", "params.yaml", "--plot", "out.png"], "no.png: no such file"),
    "too many": (None, ["--plot", "out.png", *["red.png"] * 60], "at most 60 images, found 61"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_explained_and_leave_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    prepare, arguments, message = MISTAKES[mistake]
    if prepare:
        prepare(project)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    with pytest.raises(PipelineError) as caught:
        command.main(["red.png", *arguments])
    assert message in str(caught.value)
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_the_side_is_that_of_the_network(project: Path, models: Path) -> None:
    shutil.copy(models / "large.keras", project / "models/final.keras")
    (prediction,) = classify.photos(["red.png"]).predictions
    assert prediction.image.shape == (64, 64, 3)
    assert prediction.top(1)[0][0] == "airplane"


def test_a_model_for_images_that_are_not_square(project: Path, models: Path) -> None:
    shutil.copy(models / "wide.keras", project / "models/final.keras")
    message = r"final\.keras: expected a Keras model.*32, 64, 3.* instead of square.*train@final"
    with pytest.raises(PipelineError, match=message):
        classify.photos(["red.png"])


def test_names_of_classes_that_are_not_those_of_the_model(project: Path) -> None:
    table = project / places.classes("final")
    for content, message in (
        (
            "class\n" + "a\n" * 9,
            r"final\.keras: .* each of its 10 outputs, found 9 .*evaluate@final",
        ),
        ("name\nbird\n", r"classes\.csv: .*column 'class', found 1 rows of a column 'name'; "),
        ("class\n", r"classes\.csv: .* found 0 rows .*; run `dvc repro evaluate@final`"),
        ("", r"classes\.csv: .*column 'class', found .*; run `dvc repro evaluate@final`"),
    ):
        table.write_text(content)
        with pytest.raises(PipelineError, match=message):
            classify.photos(["red.png"])
    table.unlink()
    with pytest.raises(PipelineError, match=r"classes\.csv: .*classes of models/final\.keras, fou"):
        classify.photos(["red.png"])
    classes.write(CLASSES)
    assert classify.photos(["red.png"]).predictions[0].top(1)[0][0] == "airplane"


def test_the_command_answers_bad_images_without_starting_tensorflow(project: Path) -> None:
    script = (
        "import runpy, sys\n"
        "sys.argv = ['predict', 'no.png', 'params.yaml', 'red.png']\n"
        "try:\n"
        "    runpy.run_module('pipeline.predict', run_name='__main__')\n"
        "finally:\n"
        "    assert not {'tensorflow', 'keras', 'matplotlib', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "predict: no.png: no such file; check its name",
        "params.yaml: expected an image, found something that Pillow cannot read; save it as PNG",
    ]


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_plot_shows_each_photo(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main([*PHOTOS, "--plot", "new/out.png"])
    pixels = drawn(project / "new/out.png")
    for colour in [(255, 0, 0), (0, 255, 0), (0, 0, 255)]:
        assert (pixels == colour).all(axis=2).sum() > 5000  # a square of at least 70 a side
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize("name", ["$\\frac$.png", "bad\udcff.png", "漢字.png", "n" * 200 + ".png"])
def test_plot_takes_any_file_name(tmp_path: Path, name: str) -> None:
    shares = np.full(10, 0.1, np.float32)
    prediction = answer.Prediction(name, np.zeros((32, 32, 3), np.float32), shares, CLASSES, 0.5)
    answer.draw(
        answer.Answer("final", None, "models/final.keras", [prediction]),
        tmp_path / "out.png",
        top=10,
    )
    assert drawn(tmp_path / "out.png").std() > 0


def test_equal_probabilities_keep_the_order_of_the_classes() -> None:
    shares = np.full(10, 0.1, np.float32)
    prediction = answer.Prediction("a", np.zeros((32, 32, 3), np.float32), shares, CLASSES, 0.5)
    assert [name for name, _ in prediction.top(10)] == list(CLASSES)


def test_accuracy_of_an_earlier_model_is_not_shown(project: Path) -> None:
    model = Path("models/final.keras")

    def evaluated(md5: str) -> None:
        dep = {"path": str(model), "md5": md5}
        lock = {"stages": {"evaluate@final": {"deps": [dep]}}}
        Path("dvc.lock").write_text(yaml.safe_dump(lock))

    evaluated(hashlib.md5(model.read_bytes(), usedforsecurity=False).hexdigest())
    assert measured.test_accuracy("final", recorded.runs(Path())) == 0.7
    evaluated("0" * 32)
    assert measured.test_accuracy("final", recorded.runs(Path())) is None
    with pytest.raises(PipelineError, match=r"none that belong to these models; .*evaluate@final"):
        choice.choose(None, known=["final"], runs=recorded.runs(Path()))


def test_model_of_a_removed_variant_answers_only_by_name(project: Path, models: Path) -> None:
    add_model(project, models, "removed", 0.9)
    assert choice.choose(None, known=["final"], runs=recorded.runs(Path())) == "final"
    assert choice.choose("removed", known=["final"], runs=recorded.runs(Path())) == "removed"


def carry(project: Path, models: Path, variant: str) -> None:
    """A page that carries the sound model as that of `variant`."""
    model = export_weights.export_model(models / "sound.keras", "").model_dump()
    data = {"classes": CLASSES, "network": {"variant": variant, "accuracy": 0.875, **model}}
    element = f'<script type="application/json" id="data">{json.dumps(data)}</script>'
    files.write_text(project / carried.PAGE, element)


def test_before_any_training_the_page_answers_and_says_so(
    project: Path, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_weights.LAYERS, "Cropping2D", {})
    remove_all(project)
    carry(project, models, "fast")
    command.main([*PHOTOS, "--top", "1"])
    rounded = " before reports/index.html rounded its kernels to 16 bits"
    assert capsys.readouterr().out.splitlines() == [
        f"variant fast, test accuracy 87.5%{rounded}",
        f"red.png: airplane {FIRST}",
        f"lime.png: automobile {FIRST}",
        f"blue.png: bird {FIRST}",
    ]
    command.main(["red.png", "--variant", "fast", "--json"])
    content = json.loads(capsys.readouterr().out)
    assert (content["model"], content["test_accuracy"]) == ("reports/index.html", 0.875)
    with pytest.raises(PipelineError, match=r"models/best\.keras: expected a trained model"):
        classify.photos(["red.png"], variant="best")


def test_a_trained_model_takes_over_from_the_page(
    project: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_weights.LAYERS, "Cropping2D", {})
    carry(project, models, "fast")
    found = classify.photos(["red.png"])
    assert (found.variant, found.model) == ("final", "models/final.keras")
    found = classify.photos(["red.png"], variant="fast")  # which is not trained here
    assert (found.variant, found.model) == ("fast", "reports/index.html")
    add_model(project, models, "fast", 0.8)
    found = classify.photos(["red.png"], variant="fast")
    assert (found.test_accuracy, found.model) == (0.8, "models/fast.keras")


def test_names_of_classes_in_a_page_that_are_not_there_or_too_few(
    project: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_weights.LAYERS, "Cropping2D", {})
    carry(project, models, "fast")
    page = project / carried.PAGE
    sound = page.read_text(encoding="utf-8")
    for content, message in (
        (
            sound.replace('"truck"', '"lorry", "van"'),
            r"of its 10 outputs, found 11 names.*checkout",
        ),
        (sound.replace('"classes"', '"kinds"'), r"expected the names of its classes, .*checkout"),
        (
            sound.replace('"batch_shape"', '"shape"'),
            r"in Keras's terms, found a damaged .*checkout",
        ),
    ):
        assert content != sound
        page.write_text(content, encoding="utf-8")
        with pytest.raises(PipelineError, match=rf"reports/index\.html: .*{message}"):
            classify.photos(["red.png"], variant="fast")
