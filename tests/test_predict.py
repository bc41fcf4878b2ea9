"""Prediction by the command and from Python, with a network that tells colours apart."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets.cifar10 import CLASSES
from pipeline.evaluate import labelled, litert
from pipeline.predict import __main__ as command
from pipeline.predict.predictor import Photo, load_predictor
from pipeline.report import places

COLOURS = {"red": "airplane", "lime": "automobile", "blue": "bird"}
PHOTOS = [f"{colour}.png" for colour in COLOURS]
FIRST = np.exp(5) / (np.exp(5) + 9)  # the softmax of one logit of 5 and nine of 0
EXPORTED = Path("reports/fast.tflite")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """A .tflite file: the logits are 5 times the mean red, green and blue of the left half."""
    import keras

    path = tmp_path_factory.mktemp("models") / "colours.tflite"
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Cropping2D(((0, 0), (0, 16))),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(CLASSES)),
        ]
    )
    network.layers[-1].set_weights([5 * np.eye(3, len(CLASSES)), np.zeros(len(CLASSES))])
    litert.save(path, network, CLASSES)
    return path


@pytest.fixture
def project(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: params.yaml, the model and metrics of `final`, three photos."""
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    # Three photos are two batches.
    set_params(temperatures={}, runtime={"cpu_isa": "AVX2", "inference_batch_size": 2})
    add_model(model, "final", 0.7)
    for colour in COLOURS:
        Image.new("RGB", (60, 40), colour).save(f"{colour}.png")
    return tmp_path


def set_params(**sections: Any) -> None:
    params = params_file.read()
    Path("params.yaml").write_text(yaml.safe_dump(params | sections))


def add_model(model: Path, variant: str, accuracy: float | None) -> None:
    Path("models").mkdir(exist_ok=True)
    shutil.copy(model, places.litert(variant))
    if accuracy is not None:
        metrics = {"accuracy": accuracy, "loss": 1.0, "parameters": 40}
        files.write_json(places.metrics(variant), metrics)


def record_zeros(path: Path) -> None:
    """A dvc.lock with a wrong MD5 of `path`."""
    outs = [{"path": str(path), "md5": "0" * 32}]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"evaluate@final": {"outs": outs}}}))


@pytest.mark.usefixtures("project")
def test_text_has_a_line_for_each_image_and_one_for_the_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.main([*PHOTOS, "--top", "2"])
    *lines, model = capsys.readouterr().out.splitlines()
    seconds = ["automobile", "airplane", "airplane"]
    assert lines == [
        f"{label} {FIRST:.1%}, {second} {(1 - FIRST) / 9:.1%}  {name}"
        for name, label, second in zip(PHOTOS, COLOURS.values(), seconds, strict=True)
    ]
    assert model == "by models/final.tflite, test accuracy 70.0%"


@pytest.mark.usefixtures("project")
def test_json_has_the_documented_schema(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--json", "blue.png", "red.png"])
    content = json.loads(capsys.readouterr().out)
    first, second = content.pop("predictions")
    assert content == {"variant": "final", "test_accuracy": 0.7, "model": "models/final.tflite"}
    assert (first["image"], second["image"]) == ("blue.png", "red.png")
    assert list(first) == ["image", "likely", "top"]
    assert first["top"][0] == {"class": "bird", "probability": round(float(FIRST), 6)}
    assert len(first["top"]) == 3


@pytest.mark.usefixtures("project")
def test_image_that_shows_no_class(capsys: pytest.CaptureFixture[str]) -> None:
    for threshold, is_likely in ((FIRST - 0.001, True), (FIRST + 0.001, False)):
        set_params(predict={"unlikely": float(threshold)})
        assert load_predictor().predict("red.png")[0].is_likely is is_likely
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
    "str": lambda path: str(path),
    "Path": lambda path: path,
    "PIL image": lambda path: Image.open(path),
    "PIL image with alpha": lambda path: Image.open(path).convert("RGBA"),
    "open file": lambda path: path.open("rb"),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "uint8": lambda _: half_red_array(np.uint8, 32),
    "float32": lambda _: half_red_array(np.float32, 32),
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
    with pytest.raises(dataclasses.FrozenInstanceError):
        single.is_likely = False  # type: ignore[misc]


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


BAD_PHOTOS: dict[str, tuple[Photo | list[Photo], str]] = {
    "missing": (["no.png", "red.png", "params.yaml"], r"^no\.png: .*\nparams\.yaml: .*"),
    "none": ([], "at least one image"),
    "a number": (5, "found int"),  # type: ignore[dict-item]
    "bytes": ([b"a"], "found bytes"),  # type: ignore[list-item]
    "empty file": (io.BytesIO(), "empty"),
    "truncated PIL image": (truncated_image(), "cannot read"),
    "grey": (np.zeros((32, 32), np.uint8), r"\(H, W, 3\)"),
    "channels first": (np.zeros((3, 32, 32), np.uint8), r"\(H, W, 3\)"),
    "no pixels": (np.zeros((0, 32, 3), np.uint8), r"\(H, W, 3\)"),
    "integers": (np.zeros((32, 32, 3), int), "int64"),
    "a grey float": (np.zeros((32, 32)), "float64"),
    "floats above 1": (np.full((32, 32, 3), 1.1), r"\[0, 1\]"),
    "negative": (np.full((32, 32, 3), -0.1), r"\[0, 1\]"),
    "NaN": (np.full((32, 32, 3), np.nan), r"\[0, 1\]"),
}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_bad_photos_are_all_named(kind: str) -> None:
    photos, message = BAD_PHOTOS[kind]
    with pytest.raises(PipelineError, match=message):
        load_predictor().predict(photos)


@pytest.mark.usefixtures("project")
def test_temperature_and_views_are_those_of_params(model: Path) -> None:
    add_model(model, "fast", 0.6)
    half = half_red_array(np.uint8, 32)
    set_params(
        temperatures={"study": 2.0},
        views={"whitened": {"mirrored": True, "shift": 0, "sure": 1.0}},
    )
    (plain,) = load_predictor(variant="final").predict(half)
    assert plain.probability == pytest.approx(np.exp(2.5) / (np.exp(2.5) + 9), abs=1e-4)
    (averaged,) = load_predictor(variant="fast").predict(half)  # over the mirror image, too
    assert {name for name, _ in averaged.top[:2]} == {"airplane", "bird"}
    assert averaged.top[0][1] == pytest.approx(averaged.top[1][1], rel=1e-4)


@pytest.mark.usefixtures("project")
def test_the_most_accurate_model_answers(model: Path) -> None:
    EXPORTED.parent.mkdir(exist_ok=True)
    shutil.copy(model, EXPORTED)
    assert load_predictor().variant == "final"  # the exported one has no metrics
    add_model(model, "sgd", None)
    add_model(model, "removed", 0.99)  # a variant that params.yaml has no more
    add_model(model, "baseline", 0.6)
    assert load_predictor().variant == "final"
    add_model(model, "fast", 0.9)
    assert load_predictor().path == places.litert("fast")
    places.litert("fast").unlink()
    record_zeros(Path("models/other.tflite"))
    assert load_predictor().path == EXPORTED
    assert load_predictor().test_accuracy == 0.9
    assert load_predictor(variant="sgd").test_accuracy is None


def truncate(path: Path) -> Callable[[], object]:
    return lambda: path.write_bytes(path.read_bytes()[:400])


def rewrite(network: bytes | None, names: Sequence[str]) -> None:
    """Put another `network`, None for the same, and other `names` into models/final.tflite."""
    path = places.litert("final")
    same = path.read_bytes().partition(b"PK\3\4")[0]
    path.write_bytes(same if network is None else network)
    labelled.append(path, names)


def misspelled_network() -> dict[str, Any]:
    """The variants of params.yaml, `final` with a network that has no file."""
    variants = params_file.read()["variants"]
    return variants | {"final": variants["final"] | {"network": "plian"}}


MISTAKES: dict[str, tuple[Callable[[], object], list[str], str]] = {
    "unknown variant": (dict, ["--variant", "finale"], "finale.*'final'"),
    "no such model": (dict, ["--variant", "deep"], r"models/deep\.tflite"),
    "no model": (lambda: shutil.rmtree("models"), [], r"models/.*dvc pull.*make repro"),
    "no such network": (lambda: set_params(variants=misspelled_network()), [], "network.*whitened"),
    "no params": (lambda: Path("params.yaml").unlink(), [], r"params\.yaml"),
    "views": (lambda: set_params(views=None), [], "views"),
    "metrics": (lambda: places.metrics("final").write_text("{}"), [], r"final/metrics\.json"),
    "dvc.lock": (lambda: Path("dvc.lock").write_text("stages: ["), [], r"dvc\.lock"),
    "truncated": (truncate(places.litert("final")), [], r"final\.tflite"),
    "no network": (lambda: rewrite(b"", CLASSES), [], r"final\.tflite.*LiteRT"),
    "too few names": (lambda: rewrite(None, ["cat", "dog"]), [], "2 class names"),
    "other bytes": (lambda: record_zeros(places.litert("final")), [], r"final\.tflite.*dvc\.lock"),
    "top": (dict, ["--top", "0"], "top"),
    "bad image": (dict, ["no.png"], r"no\.png"),
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
    [
        ("$P - -- -dash.png < blue.png", 0, ""),
        ("$P red.png --json | true", 0, ""),
        ("$P red.png > /dev/full", 1, "No space left"),
        ("$P red.png >&-", 0, ""),
        ("$P no.png", 1, "no.png"),
        ("ln -s loop loop; $P loop", 1, "loop"),
        ("$P red.png --tip 3", 2, "--tip"),
    ],
)
def test_command_ends_with_a_status_and_a_line(shell: str, status: int, message: str) -> None:
    Path("red.png").rename("-dash.png")
    Path("red.png").symlink_to("-dash.png")
    done = run_shell(shell)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout or [line.split()[0] for line in done.stdout.splitlines()] == [
        *("bird", "airplane", "by")
    ]


@pytest.mark.usefixtures("project")
def test_nothing_slow_is_imported() -> None:
    script = (
        "import sys; from pipeline.predict import __main__; __main__.main(['red.png'])\n"
        "print({'dvc', 'keras', 'matplotlib', 'pandas', 'tensorflow'} & set(sys.modules))"
    )
    done = run_shell(f'{sys.executable} -c "{script}"')
    assert done.stdout.splitlines()[-1] == "set()"
    assert done.stderr == ""  # LiteRT's log is suppressed


def run_shell(shell: str) -> subprocess.CompletedProcess[str]:
    """`shell` run by bash in the current folder, `$P` the command."""
    return subprocess.run(
        [
            "bash",
            "-o",
            "pipefail",
            "-c",
            shell.replace("$P", f"{sys.executable} -m pipeline.predict"),
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
