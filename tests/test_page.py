"""Stage page: what the page and the card say of made-up results, and what is said of bad ones."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import page_model
import page_project
import pytest
import yaml
from conftest import PROJECT
from page_project import VARIANTS, files_of, held, tile
from PIL import Image

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.comparison import compare
from pipeline.page import stage as page
from pipeline.page import training_times
from pipeline.report import places

IMAGES = 1000  # as made_up counts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    return page_project.network(tmp_path_factory.mktemp("models") / "fast.keras")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A project folder with two variants compared, one of two seeds."""
    folder = tmp_path_factory.mktemp("page") / "project"
    with contextlib.chdir(files_of(folder, model)):
        compare.main([])
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, entered."""
    shutil.copytree(prepared, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Path()


def outputs() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (page_model.PAGE, page.CARD) if path.exists()}


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
    text = page_model.PAGE.read_text(encoding="utf-8")
    outside = re.findall(r"""(?:(?:src|href)=|url\()["']?(?!data:|#|\$)[^"'\s>]+""", text)
    assert outside == []
    assert "default-src 'none'" in text
    # Nothing of this machine, and no marker of the template is left.
    assert str(Path.cwd()) not in text
    assert not re.search(r"<!-- [a-z ]+ -->", text)


@pytest.mark.usefixtures("project")
def test_no_text_among_the_results_can_end_a_script() -> None:
    few = {"side": 8, "classes": ["a"], "test_images": 1}
    plain = page.assemble({**few, "dataset": "a"}, {})
    odd = page.assemble({**few, "dataset": "</script><!-- scripts -->"}, {})
    assert odd.count("</script>") == plain.count("</script>") == 3
    files.write_text(page_model.PAGE, odd)
    assert held("facts") == {**few, "dataset": "</script><!-- scripts -->"}


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
    assert final["settings"]["dataset"]["train_images"] == 10
    assert final["support"] == [100] * 10
    assert final["confused"] is None
    assert final["digest"] == training_times.history_digest("final")


@pytest.mark.usefixtures("project")
def test_pictures_are_of_the_images_that_are_named() -> None:
    page.main([])
    facts = held("facts")
    with np.load("data/processed/test.npz") as data:
        images = np.rint(255 * data["images"]).astype(np.uint8)
    samples = facts["samples"]
    assert facts["sample_labels"] == [k for k in range(10) for _ in range(2)]
    for place, index in ((0, 0), (1, 1), (2, 100), (19, 901)):
        np.testing.assert_array_equal(tile(samples, place), images[index])

    examples = facts["variants"]["final"]["examples"]
    counts = made_up.confusion(70, 70)
    shown = {(actual, predicted) for _, actual, predicted, _ in examples}
    assert shown == {(int(i), int(j)) for i, j in zip(*np.nonzero(counts), strict=True)}
    lossy = facts["pictures"]
    assert (samples["side"], lossy["side"]) == (32, 32)
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
    assert (network["temperature"], network["unlikely"]) == (0.487, 0.5)
    assert network["most_pixels"] == Image.MAX_IMAGE_PIXELS
    assert page_model.weights(network)["class"][0].shape == (3, 10)


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


def test_card_and_page_have_the_balanced_accuracy_where_it_says_more(project: Path) -> None:
    page.main([])
    assert "balanced_accuracy" not in held("facts")["metrics"]
    assert "balanced accuracy" not in page.CARD.read_text(encoding="utf-8")
    made_up.write("fast", 80, epochs=8, validated=False, balanced_accuracy=0.625)
    compare.main([])
    page.main([])
    assert "balanced_accuracy" in held("facts")["metrics"]
    assert "balanced accuracy 0.6250" in page.CARD.read_text(encoding="utf-8")


def test_results_of_another_test_set_are_refused(project: Path) -> None:
    made_up.write("fast", 80, classes=made_up.NAMES[:9])
    with pytest.raises(PipelineError, match=r"run `dvc repro evaluate@fast evaluate@final`"):
        page.main([])
    for variant in VARIANTS:
        made_up.write(variant, 80, classes=made_up.NAMES[:9])
    message = r"test\.npz: expected 900 images of 9 classes, as fast was .*, found 1000 of 10,"
    with pytest.raises(PipelineError, match=message):
        page.main([])


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
