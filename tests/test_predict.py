"""Prediction by the command and from Python, with a network that tells colours apart."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT, inference_config
from PIL import Image

from pipeline import predict as command
from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.datasets.cifar10 import CLASSES
from pipeline.evaluation.config import append_metadata
from pipeline.evaluation.tflite import save_tflite
from pipeline.predict import load_predictor

COLOURS = {"red": "airplane", "lime": "automobile", "blue": "bird"}
PHOTOS = [f"{colour}.png" for colour in COLOURS]
FIRST = np.exp(5) / (np.exp(5) + 9)  # the softmax of one logit of 5 and nine of 0
EXPORTED, FINAL = Path("reports/fast.tflite"), Path("models/final.tflite")
SIDE = 24  # pixels, of the network's images
CONFIG = inference_config()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """A .tflite file: the logits are 5 times the mean red, green and blue of the left half."""
    import keras

    path = tmp_path_factory.mktemp("models") / "colours.tflite"
    half = [keras.Input((SIDE, SIDE, 3)), keras.layers.Cropping2D(((0, 0), (0, SIDE // 2)))]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(len(CLASSES))]
    network = keras.Sequential([*half, *head])
    network.layers[-1].set_weights([5 * np.eye(3, len(CLASSES)), np.zeros(len(CLASSES))])
    save_tflite(path, network, CLASSES, CONFIG)
    return path


@pytest.fixture
def project(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: params.yaml, the model and metrics of `final`, three photos."""
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    set_params(inference={"cpu_isa": "AVX2", "batch_size": 2})  # three photos are two batches
    add_model(model, "final", 0.7)
    for colour in COLOURS:
        Image.new("RGB", (60, 40), colour).save(f"{colour}.png")
    return tmp_path


def set_params(**sections: Any) -> None:
    params = read_params()
    Path("params.yaml").write_text(yaml.safe_dump(params | sections))


def add_model(model: Path, variant: str, accuracy: float | None) -> None:
    Path("models").mkdir(exist_ok=True)
    shutil.copy(model, paths.tflite(variant))
    if accuracy is not None:
        metrics = {"accuracy": accuracy, "loss": 1.0, "parameters": 40}
        files.write_json(paths.metrics(variant), metrics)


def record_zeros(path: Path) -> None:
    """A dvc.lock with a wrong MD5 of `path`."""
    outs = [{"path": str(path), "md5": "0" * 32}]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"evaluate@final": {"outs": outs}}}))


@pytest.mark.usefixtures("project")
def test_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    command.main([*PHOTOS, "--top", "2"])
    *lines, model = capsys.readouterr().out.splitlines()
    seconds = ["automobile", "airplane", "airplane"]
    assert lines == [
        f"{name}: {label} {FIRST:.1%}, {second} {(1 - FIRST) / 9:.1%}"
        for name, label, second in zip(PHOTOS, COLOURS.values(), seconds, strict=True)
    ]
    assert model == "model: models/final.tflite, test accuracy 70.0%"
    command.main(["--json", "blue.png", "red.png"])
    content = json.loads(capsys.readouterr().out)
    first, second = content.pop("predictions")
    assert content == {"variant": "final", "test_accuracy": 0.7, "model": "models/final.tflite"}
    assert (first["image"], second["image"]) == ("blue.png", "red.png")
    assert list(first) == ["image", "likely", "top"]
    assert first["top"][0] == {"class": "bird", "probability": round(float(FIRST), 6)}
    assert len(first["top"]) == 3


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("margin", "is_likely"), [(-0.001, True), (0.001, False)])
def test_rejection(capsys: pytest.CaptureFixture[str], margin: float, is_likely: bool) -> None:
    rewrite_model(rejection_threshold=float(FIRST + margin))
    command.main(["red.png", "--json"])
    assert json.loads(capsys.readouterr().out)["predictions"][0]["likely"] is is_likely
    command.main(["red.png"])
    assert ("no class" in capsys.readouterr().out) is not is_likely


def half_red_array(dtype: Any, side: int) -> np.ndarray:
    """Red in the half that the network sees, blue in the other."""
    array = np.zeros((side, side, 3), np.uint8)
    array[:, : side // 2, 0] = array[:, side // 2 :, 2] = 255
    return array if dtype == np.uint8 else (array / 255).astype(dtype)


KINDS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "PIL image": lambda path: Image.open(path),
    "PIL image with alpha": lambda path: Image.open(path).convert("RGBA"),
    "open file": lambda path: path.open("rb"),
    "uint8": lambda _: half_red_array(np.uint8, SIDE),
    "float32": lambda _: half_red_array(np.float32, SIDE),
    "large float64": lambda _: half_red_array(np.float64, 90),
}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_python_takes_photos_of_any_kind_from_any_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    predictor = load_predictor(root=project)
    (single,) = predictor.predict(KINDS[kind](project / "red.png"))
    assert (single.class_name, single.top[0][0]) == ("airplane", "airplane")
    assert single.probability == single.top[0][1] == pytest.approx(FIRST, abs=0.005)
    several = (KINDS[kind](path) for path in (project / "red.png", project / "red.png"))
    assert predictor.predict(several) == [single, single]


@pytest.mark.usefixtures("project")
def test_batch_of_arrays_and_order_of_classes() -> None:
    batch = np.zeros((2, 32, 32, 3))
    batch[1, ..., 1] = 1
    black, lime = load_predictor().predict(batch, top=10)
    assert [name for name, _ in black.top] == list(CLASSES)  # all are equally probable
    assert lime.class_name == "automobile"
    assert sum(probability for _, probability in lime.top) == pytest.approx(1)
    pixels = np.random.default_rng(1).integers(256, size=(2, 50, 40, 3), dtype=np.uint8)
    assert load_predictor().predict(pixels) == load_predictor().predict(pixels / 255)


def truncated_image() -> Image.Image:
    content = io.BytesIO()
    Image.effect_noise((99, 99), 50).save(content, "PNG")
    return Image.open(io.BytesIO(content.getvalue()[:2000]))


BAD_PHOTOS: dict[str, tuple[Any, str]] = {
    "missing": (["red.png", "no.png"], r"^no\.png: "),
    "no image": ("params.yaml", r"^params\.yaml: "),
    "truncated PIL image": (truncated_image(), "cannot read"),
    "PIL image of floats": (Image.new("F", (9, 9)), "8 bits"),
    "no pixels": (np.zeros((0, 32, 3), np.uint8), "^image: "),
    "integers": (np.zeros((32, 32, 3), int), "i8"),
    "floats above 1": (np.full((32, 32, 3), 1.1), r"\[0, 1\]"),
    "negative": (np.full((32, 32, 3), -0.1), r"\[0, 1\]"),
    "NaN": (np.full((32, 32, 3), np.nan), r"\[0, 1\]"),
}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_bad_photos_are_named(kind: str) -> None:
    photos, message = BAD_PHOTOS[kind]
    with pytest.raises(PipelineError, match=message):
        load_predictor().predict(photos)


@pytest.mark.usefixtures("project")
def test_temperature_and_tta_are_those_of_the_model() -> None:
    half = half_red_array(np.uint8, SIDE)
    rewrite_model(temperature=2.0)
    (plain,) = load_predictor().predict(half)
    assert plain.probability == pytest.approx(np.exp(2.5) / (np.exp(2.5) + 9), abs=1e-4)
    flipped = CONFIG.test_time_augmentation.model_copy(update={"horizontal_flip": True})
    rewrite_model(test_time_augmentation=flipped)
    (averaged,) = load_predictor().predict(half)  # over the mirror image, too
    assert {name for name, _ in averaged.top[:2]} == {"airplane", "bird"}
    assert averaged.top[0][1] == pytest.approx(averaged.top[1][1], rel=1e-4)


@pytest.mark.usefixtures("project")
def test_crop_mode_is_that_of_the_data() -> None:
    """Of a wide photo shown whole a third of the square is white."""
    shares = {"validation_share": 0.1, "test_share": 0.1, "seed": 1, "duplicates": "keep"}
    dataset = {"kind": "photos", "folder": "photos", "side": SIDE, "crop_mode": "whole"}
    set_params(dataset=dataset | shares)
    (prediction,) = load_predictor().predict("red.png")
    expected = np.exp(5) / (np.exp(5) + 2 * np.exp(5 / 3) + 7)
    assert prediction.probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.usefixtures("project")
def test_the_most_accurate_model_is_the_default(model: Path) -> None:
    EXPORTED.parent.mkdir(exist_ok=True)
    shutil.copy(model, EXPORTED)
    assert load_predictor().variant == "final"  # the exported one has no metrics
    add_model(model, "sgd", None)
    add_model(model, "removed", 0.99)  # a variant that params.yaml has no more
    add_model(model, "baseline", 0.6)
    assert load_predictor().variant == "final"
    add_model(model, "fast", 0.9)
    assert load_predictor().path == paths.tflite("fast")
    paths.tflite("fast").unlink()
    record_zeros(Path("models/other.tflite"))
    assert load_predictor().path == EXPORTED
    assert load_predictor().test_accuracy == 0.9
    assert load_predictor(variant="sgd").test_accuracy is None


def rewrite_model(network: bytes | None = None, **settings: Any) -> None:
    """models/final.tflite with other bytes before the metadata, or other settings in them."""
    content = FINAL.read_bytes()
    FINAL.write_bytes(content[: content.index(b"PK")] if network is None else network)
    append_metadata(FINAL, CLASSES, CONFIG.model_copy(update=settings))


MISTAKES: dict[str, tuple[Callable[[], object], list[str], str]] = {
    "unknown variant": (dict, ["--variant", "finale"], r"variants\.finale.*final"),
    "no model": (lambda: shutil.rmtree("models"), [], r"models/.*dvc pull.*dvc repro"),
    "metrics": (lambda: paths.metrics("final").write_text("{}"), [], r"final/metrics\.json"),
    "dvc.lock": (lambda: Path("dvc.lock").write_text("stages: ["), [], r"dvc\.lock"),
    "truncated": (lambda: FINAL.write_bytes(FINAL.read_bytes()[:400]), [], r"final\.tflite"),
    "no network": (lambda: rewrite_model(b""), [], r"final\.tflite.*LiteRT"),
    "other bytes": (lambda: record_zeros(FINAL), [], r"final\.tflite.*dvc\.lock"),
    "top": (dict, ["--top", "0"], "top"),
}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    make, arguments, message = MISTAKES[mistake]
    make()
    with pytest.raises(PipelineError, match=message):
        command.main(["red.png", *arguments])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("shell", "status", "message"),
    [("$P - red.png < blue.png", 0, ""), ("$P no.png", 1, "no.png"), ("$P --tip 3", 2, "--tip")],
)
def test_command_ends_with_a_status_and_a_line(shell: str, status: int, message: str) -> None:
    done = run_shell(shell)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == (
        [["-:", "bird"], ["red.png:", "airplane"], ["model:", "models/final.tflite,"]]
        if status == 0
        else []
    )


@pytest.mark.usefixtures("project")
def test_nothing_slow_is_imported() -> None:
    script = (
        "import sys; from pipeline import predict; predict.main(['red.png'])\n"
        "print({'dvc', 'keras', 'matplotlib', 'pandas', 'tensorflow'} & set(sys.modules))"
    )
    done = run_shell(f'{sys.executable} -c "{script}"')
    assert done.stdout.splitlines()[-1] == "set()"
    assert done.stderr == ""  # LiteRT's log is suppressed


def run_shell(shell: str) -> subprocess.CompletedProcess[str]:
    """`shell` run by bash in the current folder, `$P` the command."""
    command = ["bash", "-c", shell.replace("$P", f"{sys.executable} -m pipeline.predict")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
