"""Stage page: what the page and the card say of made-up results, and what is said of bad ones."""

import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.compare import stage as compare
from pipeline.page import pictures, times
from pipeline.page import stage as page
from pipeline.predict import carried
from pipeline.report import places

VARIANTS: dict[str, dict[str, Any]] = {
    "final": {"recipe": "study", "arithmetic": "study", "seed": 1},
    "fast": {"recipe": "fast", "arithmetic": "own", "seed": 1},
    "fast_2": {"recipe": "fast", "arithmetic": "own", "seed": 2},
}
IMAGES = 1000  # as made_up counts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    import keras

    image = keras.Input((32, 32, 3), name="image")
    hidden = keras.layers.GlobalAveragePooling2D(name="mean")(image)
    answer = keras.layers.Dense(10, activation="softmax", name="class")(hidden)
    path = tmp_path_factory.mktemp("models") / "fast.keras"
    keras.Model(image, answer, name="whitened").save(path)
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A project folder with two variants compared, one of two seeds."""
    folder = tmp_path_factory.mktemp("page") / "project"
    with contextlib.chdir(files_of(folder, model)):
        compare.main([])
    return folder


def files_of(folder: Path, model: Path) -> Path:
    """What stage page and compare read, in `folder`."""
    shutil.copytree(PROJECT / "pipeline/page", folder / "pipeline/page")
    shutil.copytree(PROJECT / "requirements", folder / "requirements")
    full = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings = {"variant": "fast", "mistakes": 7, "samples": 2, "jpeg_quality": 60}
    params = full | {"variants": VARIANTS, "page": settings}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / compare.PUBLISHED).parent.mkdir()
    shutil.copy(PROJECT / compare.PUBLISHED, folder / compare.PUBLISHED)
    for variant, right, epochs in (("final", 70, 4), ("fast", 80, 8), ("fast_2", 90, 8)):
        validated = variant == "final"
        made_up.write(variant, right, folder=folder, epochs=epochs, validated=validated)
    (folder / places.model("fast")).parent.mkdir()
    shutil.copy(model, folder / places.model("fast"))
    images = np.random.default_rng(1).integers(0, 256, (IMAGES, 32, 32, 3)).astype(np.float32) / 255
    labels = np.eye(10, dtype=np.float32)[np.arange(IMAGES) // 100]
    files.write_arrays(folder / "data/processed/test.npz", images=images, labels=labels)
    digest = times.history_digest("final", folder)
    rows = ["pipeline,final," + digest + ",75,2 cores", "pipeline,fast,other,9,2 cores"]
    rows += ["notebook,final,,80,2 cores", "notebook,gone,,90,2 cores"]
    files.write_text(folder / times.PATH, "\n".join([",".join(times.COLUMNS), *rows]))
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, entered."""
    shutil.copytree(prepared, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Path()


def held(name: str) -> Any:
    """What the script element `name` of the page holds."""
    text = carried.PAGE.read_text(encoding="utf-8")
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def outputs() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (carried.PAGE, page.CARD) if path.exists()}


@pytest.mark.usefixtures("project")
def test_writes_the_same_bytes_in_a_fresh_process_without_tensorflow() -> None:
    page.main([])
    first = outputs()
    assert len(first) == 2
    code = (
        "import sys; from pipeline.page import stage; stage.main([]);"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "7"}
    environment |= {"TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert outputs() == first


@pytest.mark.usefixtures("project")
def test_page_asks_nothing_of_any_other_place() -> None:
    page.main([])
    text = carried.PAGE.read_text(encoding="utf-8")
    outside = re.findall(r"""(?:(?:src|href)=|url\()["']?(?!data:|#|\$)[^"'\s>]+""", text)
    assert outside == []
    assert "default-src 'none'" in text
    # Nothing of this machine, and no marker of the template is left.
    assert str(Path.cwd()) not in text
    assert not re.search(r"<!-- (style|facts|network|scripts) -->", text)


@pytest.mark.usefixtures("project")
def test_no_text_among_the_results_can_end_a_script() -> None:
    plain = page.assemble({"name": "a"}, {})
    odd = page.assemble({"name": "</script><!-- scripts -->"}, {})
    assert odd.count("</script>") == plain.count("</script>") == 3
    files.write_text(carried.PAGE, odd)
    assert held("facts") == {"name": "</script><!-- scripts -->"}


@pytest.mark.usefixtures("project")
def test_ranking_has_the_comparison_and_the_times_of_these_trainings() -> None:
    page.main([])
    facts = held("facts")
    assert facts["classes"] == made_up.NAMES
    ranking = {row["variant"]: row for row in facts["ranking"]}
    assert list(ranking) == ["fast", "final"]
    assert ranking["fast"]["accuracy"] == 0.85
    assert (ranking["fast"]["seeds"], ranking["final"]["seeds"]) == (2, 1)
    assert ranking["final"]["accuracy_deviation"] is None
    assert ranking["final"]["published_accuracy"] == 0.7143
    assert (ranking["final"]["seconds"], ranking["final"]["machine"]) == (75, "2 cores")
    assert ranking["fast"]["seconds"] is None  # that time is of another history
    (notebook,) = facts["notebook"]  # of what was not compared, none
    assert notebook == {
        "variant": "final",
        "accuracy": 0.7143,
        "seconds": 80,
        "machine": "2 cores",
    }
    assert facts["beats"] == {"fast": ["final"]}
    assert facts["answer"] == (
        "fast has 85.0 % of 1,000 test images right (95 % interval 82.7 % to 87.1 %); the best "
        "that the study published is 71.4 %."
    )
    assert facts["metrics"] == [
        *("top2_accuracy", "macro_f1", "calibration_error", "one_view_accuracy", "told_unlikely"),
    ]
    assert facts["libraries"]["numpy"] == np.__version__


@pytest.mark.usefixtures("project")
def test_variants_have_their_history_confusion_scores_and_settings() -> None:
    page.main([])
    facts = held("facts")
    final = facts["variants"]["final"]
    expected = made_up.history(4, 70)
    assert final["history"]["val_loss"] == pytest.approx(expected["val_loss"].tolist())
    assert facts["variants"]["fast"]["history"]["val_accuracy"] == [None] * 8
    counts = made_up.confusion(70, 70)
    assert final["confusion"] == counts.tolist()
    assert final["recall"] == [0.7] * 10
    assert final["precision"] == pytest.approx((70 / counts.sum(axis=0)).tolist(), abs=1e-6)
    assert final["settings"]["variant"] == VARIANTS["final"]
    assert final["settings"]["recipe study"]["epochs"] == 30
    assert final["settings"]["arithmetic study"]["precision"] == "float32"
    assert final["settings"]["preprocess"]["train_images"] == 45_000
    assert final["digest"] == times.history_digest("final")


def sheet(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def tile(picture: np.ndarray, place: int) -> np.ndarray:
    row, column = divmod(place, pictures.COLUMNS)
    return picture[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]


@pytest.mark.usefixtures("project")
def test_pictures_are_of_the_images_that_are_named() -> None:
    page.main([])
    facts = held("facts")
    with np.load("data/processed/test.npz") as data:
        images = np.rint(255 * data["images"]).astype(np.uint8)
    samples = sheet(facts["samples"])
    assert facts["sample_labels"] == [k for k in range(10) for _ in range(2)]
    for place, index in ((0, 0), (1, 1), (2, 100), (19, 901)):
        np.testing.assert_array_equal(tile(samples, place), images[index])

    examples = facts["variants"]["final"]["examples"]
    counts = made_up.confusion(70, 70)
    shown = {(actual, predicted) for _, actual, predicted, _ in examples}
    assert shown == {(int(i), int(j)) for i, j in zip(*np.nonzero(counts), strict=True)}
    lossy = sheet(facts["pictures"])
    for place, actual, predicted, confidence in examples:
        index = facts["numbers"][place]
        assert (index, confidence) == (100 * actual + predicted, round(0.5 + 0.04 * predicted, 4))
        away = np.abs(tile(lossy, place).astype(int) - images[index]).mean()
        others = np.abs(tile(lossy, place).astype(int) - images[(index + 1) % IMAGES]).mean()
        assert away < 0.8 * others
    assert facts["mistakes"] == 7


@pytest.mark.usefixtures("project")
def test_carries_the_network_that_params_name() -> None:
    page.main([])
    network = held("network")
    assert (network["variant"], network["accuracy"]) == ("fast", 0.8)
    assert network["views"] == {"mirrored": True, "shift": 1, "sure": 0.9}
    assert (network["temperature"], network["unlikely"]) == (0.494, 0.5)
    assert network["most_pixels"] == Image.MAX_IMAGE_PIXELS
    found = carried.read()
    assert found
    assert found.weights["class"][0].shape == (3, 10)


@pytest.mark.usefixtures("project")
def test_card_is_in_the_form_of_hugging_face_and_has_the_figures() -> None:
    page.main([])
    text = page.CARD.read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["license"] == "mit"
    (model,) = told["model-index"]
    (result,) = model["results"]
    assert model["name"] == "fast"
    assert result["metrics"][0] == {"type": "accuracy", "value": 0.8}
    assert result["dataset"]["split"] == "test"
    assert "accuracy 0.8000 (2 seeds: 0.8500 ± 0.0707, 95 % interval 0.8265 to 0.8708)" in body
    assert "Training time: not measured." in body
    counts = made_up.confusion(80, 80)
    wrong = counts - np.diag(np.diag(counts))
    worst = int(wrong.max())
    assert re.search(rf"Commonest mistakes: \w+ called \w+ \({worst}\)", body)
    assert re.search(r"\| airplane +\| +0\.\d{4} \| +0\.8000 \|", body)
    for section in ("Intended uses", "Training data", "Training procedure", "Evaluation results"):
        assert f"## {section}" in body
    assert not re.search(r"\{[a-z_]+\}", body), "a field is not filled"


@pytest.mark.usefixtures("project")
def test_second_seed_can_be_the_one_that_answers() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["page"]["variant"] = "fast_2"
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    places.model("fast").rename(places.model("fast_2"))
    page.main([])
    assert (held("network")["variant"], held("network")["accuracy"]) == ("fast_2", 0.9)
    text = page.CARD.read_text(encoding="utf-8")
    assert "On 1,000 test images: accuracy 0.9000;" in text
    assert "Training time: that of the first of its seeds is in" in text


def without(path: Path) -> None:
    path.unlink()


def beyond(path: Path) -> None:
    """Names a test image that there is not, where it is the table of those."""
    text = path.read_bytes()
    path.write_bytes(text.replace(b"\n902,", b"\n90200,") if b"\n902," in text else b"")


def foreign(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (Path("reports/variants/final/history.csv"), r"history\.csv: .*`dvc repro train@final"),
        (Path("reports/comparison.csv"), r"comparison\.csv: .*run `dvc repro .*compare`"),
        (
            Path("reports/variants/final/examples.csv"),
            r"examples\.csv: .*`dvc repro evaluate@final",
        ),
        (Path("reports/training_times.csv"), r"training_times\.csv: .*git checkout"),
        (Path("data/processed/test.npz"), r"data/processed/test\.npz: .*`dvc repro`"),
        (Path("models/fast.keras"), r"models/fast\.keras: .*`dvc repro train@fast`"),
    ],
)
@pytest.mark.parametrize("spoil", [without, foreign, beyond])
@pytest.mark.usefixtures("project")
def test_bad_inputs_name_the_stage_that_makes_them(path: Path, message: str, spoil: Any) -> None:
    spoil(path)
    with pytest.raises(PipelineError, match=message):
        page.main([])
    assert outputs() == {}


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2.2 defines it."""

    def light(colour: str) -> float:
        levels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_and_dark() -> None:
    style = (PROJECT / "pipeline/page/style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    assert len(blocks) == 2
    for block in blocks:
        colour = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for name in ("ink", "faint", "accent", "bad"):
            assert contrast(colour[name], colour["paper"]) >= 4.5, name
        assert contrast(colour["ink"], colour["soft"]) >= 4.5
        # The fullest cell of the confusion matrix has half a tint.
        tint = [int(level) for level in re.findall(r"--heat: (\d+), (\d+), (\d+)", block)[0]]
        paper = [int(colour["paper"][i : i + 2], 16) for i in (1, 3, 5)]
        mixed = [(one + other) // 2 for one, other in zip(tint, paper, strict=True)]
        assert contrast(colour["ink"], "#" + bytes(mixed).hex()) >= 4.5
        assert contrast(colour["bar"], colour["soft"]) >= 1.5  # its end has a line of ink
