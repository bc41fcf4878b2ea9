"""Prediction by LiteRT: the same answers as Keras's, at once, from the file that evaluate made."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes
from pipeline.data.cifar10 import CLASSES
from pipeline.evaluate import labelled, trained
from pipeline.evaluate import litert as made
from pipeline.predict import __main__ as command
from pipeline.predict import classify, litert
from pipeline.report import places
from pipeline.tools import lockfile
from pipeline.train import variant

PHOTOS = ["a.png", "b.png", "c.png"]
METRICS = {"accuracy": 0.7, "loss": 1.0, "parameters": 40}
Save = Callable[..., None]


@pytest.fixture
def save(tensorflow_started: None) -> Save:
    """Saves a narrow network of `name`'s kind with random weights, and what LiteRT takes of it."""
    import keras

    def save(name: str, seed: int = 1, *, keras_alone: bool = False) -> None:
        params = params_file.read(PROJECT / "params.yaml")
        params["variants"][name]["widths"] = [8, 12]
        keras.utils.set_random_seed(seed)
        chosen = variant.read(params, name)
        model = chosen.build(shape=(32, 32, 3), classes=10, training=False)
        model.set_weights(
            [np.random.default_rng(seed).random(w.shape) for w in model.get_weights()]
        )
        scale = np.float32(0.1) / np.abs(model.layers[-1].get_weights()[0]).mean()
        model.layers[-1].set_weights([w * scale for w in model.layers[-1].get_weights()])
        Path("models").mkdir(exist_ok=True)
        model.save(places.model(name))
        if not keras_alone:
            made.save(places.litert(name), trained.load(name), CLASSES)

    return save


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Save) -> Path:
    """A project folder, entered, with photos of noise and the evaluated models final and fast."""
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1)
    for name in PHOTOS:
        Image.fromarray(generator.integers(256, size=(40, 50, 3), dtype=np.uint8)).save(name)
    for name in ("final", "fast"):
        save(name)
        files.write_json(places.metrics(name), METRICS)
        files.write_text(places.classes(name), "\n".join(["class", *CLASSES]))
    return tmp_path


def record(**stages: tuple[Path, ...]) -> None:
    """Write dvc.lock: by stage of `final` what it wrote; evaluate read the model of now."""

    def entries(paths: tuple[Path, ...]) -> list[dict[str, str]]:
        return [{"path": str(path), "md5": lockfile.file_md5(path)} for path in paths]

    lock = {f"{name}@final": {"outs": entries(outs)} for name, outs in stages.items()}
    if "evaluate" in stages:
        lock["evaluate@final"]["deps"] = entries((places.model("final"),))
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": lock}))


def said(name: str, model: str) -> np.ndarray:
    """The probabilities of PHOTOS, which come from the file `model`."""
    found = classify.photos(PHOTOS, variant=name)
    assert found.model == f"models/{model}"
    return np.array([prediction.probabilities for prediction in found.predictions])


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["final", "fast"])
def test_answers_as_keras_does(name: str) -> None:
    quick = said(name, f"{name}.tflite")
    places.litert(name).unlink()
    exact = said(name, f"{name}.keras")
    assert np.ptp(exact, axis=1).min() > 0.05
    np.testing.assert_allclose(quick, exact, atol=1e-4)


@pytest.mark.usefixtures("project")
def test_neither_tensorflow_nor_keras_is_imported() -> None:
    script = (
        "import sys; from pipeline.predict import __main__ as it; it.main(['a.png', '--json']);"
        "print(sorted({'keras', 'tensorflow', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(PROJECT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""  # LiteRT's note is for nobody


@pytest.mark.usefixtures("project")
def test_answers_where_standard_error_is_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m pipeline.predict a.png 2>&-"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "a.png: " in done.stdout


@pytest.mark.usefixtures("project")
def test_the_file_for_litert_is_enough() -> None:
    exact = said("final", "final.tflite")
    places.model("final").unlink()
    np.testing.assert_array_equal(said("final", "final.tflite"), exact)
    places.model("fast").unlink()
    places.litert("fast").unlink()
    assert classify.photos(["a.png"]).variant == "final"


@pytest.mark.usefixtures("project")
def test_a_model_that_was_trained_since_is_asked_itself(save: Save) -> None:
    record(train=(places.model("final"),), evaluate=(places.litert("final"),))
    earlier = said("final", "final.tflite")
    evaluated = Path("dvc.lock").read_text()
    save("final", 2, keras_alone=True)
    # By then the data may have others.
    classes.write([name.upper() for name in CLASSES])
    record(train=(places.model("final"),))
    now = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    lock = yaml.safe_load(evaluated)["stages"] | now
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    assert np.abs(said("final", "final.keras") - earlier).max() > 0.01
    (prediction,) = classify.photos(["a.png"], variant="final").predictions
    assert prediction.classes[0] == "AIRPLANE"
    classes.PATH.unlink()
    with pytest.raises(PipelineError, match=r"final/classes\.csv: .* none that belong to it"):
        classify.photos(["a.png"], variant="final")


@pytest.mark.usefixtures("project")
def test_a_file_that_is_not_the_recorded_one_is_refused() -> None:
    record(train=(places.model("final"),), evaluate=(places.litert("final"),))
    content = bytearray(places.litert("final").read_bytes())
    content[len(content) // 2] ^= 1
    places.litert("final").write_bytes(content)
    with pytest.raises(
        PipelineError, match=r"final\.tflite: expected the model .*dvc repro evaluate@final"
    ):
        classify.photos(["a.png"], variant="final")


@pytest.mark.usefixtures("project")
def test_what_litert_cannot_compute_keras_does() -> None:
    """An operation that LiteRT does not know."""
    import keras

    image = keras.Input((32, 32, 3), name="image")
    numbers = keras.layers.GlobalAveragePooling2D()(keras.ops.erfinv(image / 2))
    answer = keras.layers.Dense(10, activation="softmax")(numbers)
    keras.Model(image, answer, name="plain").save(places.model("final"))
    made.save(places.litert("final"), trained.load("final"), CLASSES)
    with pytest.raises(RuntimeError):
        litert.Network(places.litert("final"))
    assert said("final", "final.keras").shape == (3, 10)


@pytest.mark.usefixtures("project")
def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = said("fast", "fast.tflite")
    content: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text())
    content["runtime"]["inference_batch_size"] = 2
    Path("params.yaml").write_text(yaml.safe_dump(content))
    np.testing.assert_allclose(said("fast", "fast.tflite"), whole, atol=1e-6)


def foreign(
    path: Path, *, shape: tuple[int | None, ...] = (32, 32, 3), rows: int = 0, weight: float = 1.0
) -> None:
    """A network of LiteRT's that evaluate would not have written at `path`: of several rows."""
    import keras

    image = keras.Input(shape, name="image")
    layer = keras.layers.Dense(len(CLASSES))
    numbers = layer(keras.layers.GlobalAveragePooling2D()(image))
    answer = keras.layers.RepeatVector(rows)(numbers) if rows else numbers
    made_of = keras.Model(image, answer, name="plain")
    layer.set_weights([np.full_like(weights, weight) for weights in layer.get_weights()])
    made.save(path, made_of, CLASSES)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "wrong",
    [{"shape": (28, 32, 3)}, {"shape": (32, 32, 1)}, {"shape": (None, None, 3)}, {"rows": 2}],
)
def test_a_network_for_other_images_or_answers_is_not_asked(wrong: dict[str, Any]) -> None:
    foreign(places.litert("final"), **wrong)
    assert said("final", "final.keras").shape == (3, 10)
    places.model("final").unlink()
    with pytest.raises(PipelineError, match=r"final\.tflite: .* LiteRT can compute.* of shape"):
        classify.photos(["a.png"], variant="final")


@pytest.mark.usefixtures("project")
def test_a_file_without_names_for_its_outputs_is_refused() -> None:
    file = places.litert("final")
    content = file.read_bytes()
    file.write_bytes(content[: content.rindex(b"PK\3\4")])
    with pytest.raises(PipelineError, match=r"final\.tflite: .*names of its classes.*delete it"):
        classify.photos(["a.png"], variant="final")
    labelled.append(file, CLASSES[:-1])
    message = r"final\.tflite: .*each of its 10 outputs, found 9 names \(airplane, .*delete it"
    with pytest.raises(PipelineError, match=message):
        classify.photos(["a.png"], variant="final")


@pytest.mark.usefixtures("project")
def test_numbers_that_are_none_are_refused() -> None:
    foreign(places.litert("final"), weight=float("nan"))
    with pytest.raises(PipelineError, match=r"final\.tflite: expected finite numbers"):
        classify.photos(["a.png"], variant="final")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("section", ["views", "temperatures", "variants"])
def test_a_section_that_is_no_mapping_is_named(section: str) -> None:
    content: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(content | {section: None}))
    with pytest.raises(PipelineError, match=rf"params\.yaml: {section}: expected a mapping"):
        classify.photos(["a.png"], variant="final")


OWN = ("grüne Tassen", "alte Schuhe")
DATASET = {
    "kind": "photos",
    "folder": "photos",
    "side": 16,
    "framing": "whole",
    "validation_share": 0.1,
    "test_share": 0.1,
    "seed": 1,
    "duplicates": "keep",
}


@pytest.fixture
def own_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensorflow_started: None) -> Path:
    """A project of two classes of one's own at 16 pixels: the first are photos with white at the
    edges above and below, which a wide one has when the whole of it is shown."""
    import keras

    params = params_file.read(PROJECT / "params.yaml")
    params["dataset"] = DATASET
    params["views"] = {}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    image = keras.Input((16, 16, 3), name="image")
    layer = keras.layers.Dense(2, activation="softmax")
    answer = layer(keras.layers.Flatten()(image))
    model = keras.Model(image, answer, name="plain")
    first = np.zeros((16, 16, 3), np.float32)
    first[[0, -1]] = 4 / first[[0, -1]].size
    layer.set_weights([np.stack([first.ravel(), 0 * first.ravel()], 1), np.array([0.0, 2.0])])
    Path("models").mkdir()
    model.save(places.model("final"))
    made.save(places.litert("final"), trained.load("final"), OWN)
    files.write_json(places.metrics("final"), METRICS)
    files.write_text(places.classes("final"), "\n".join(["class", *OWN]))
    for name, size in (("wide.png", (90, 40)), ("square.png", (40, 40))):
        Image.new("RGB", size, "black").save(name)
    return tmp_path


@pytest.mark.usefixtures("own_photos")
@pytest.mark.parametrize("model", ["final.tflite", "final.keras"])
def test_own_photos_are_told_in_their_classes(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    if model.endswith(".keras"):
        places.litert("final").unlink()
    command.main(["wide.png", "square.png"])
    first = f"{1 / (1 + np.exp(-2)):.1%}"
    rest = f"{1 / (1 + np.exp(2)):.1%}"
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"wide.png: grüne Tassen {first}, alte Schuhe {rest}",
        f"square.png: alte Schuhe {first}, grüne Tassen {rest}",
    ]
    found = classify.photos(["wide.png"])
    assert found.model == f"models/{model}"
    assert found.predictions[0].image.shape == (16, 16, 3)
    with pytest.raises(PipelineError, match="--top: expected 1 to 2, found 3"):
        command.main(["wide.png", "--top", "3"])


@pytest.mark.usefixtures("own_photos")
def test_the_framing_is_that_of_the_data() -> None:
    params = params_file.read()
    params["dataset"]["framing"] = "centre"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    (prediction,) = classify.photos(["wide.png"]).predictions
    assert prediction.top(1)[0][0] == "alte Schuhe"
    assert not prediction.image.any()
