"""Stage page: the page and the model card of made-up results, and errors for bad inputs."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import javascript
import made_up
import numpy as np
import page_project
import pandas as pd
import pytest
import yaml
from conftest import PROJECT
from page_project import ODD, PHOTOS, VARIANTS, make_project, read_data, read_tile

from pipeline.base.errors import PipelineError
from pipeline.comparison import compare, results
from pipeline.page import page, page_data, sprite_sheet, training_times
from pipeline.report import places


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    return page_project.save_model(tmp_path_factory.mktemp("models") / "fast.keras")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A project with two variants compared, one of two seeds."""
    folder = make_project(tmp_path_factory.mktemp("page") / "project", model)
    with contextlib.chdir(folder):
        compare.main([])
    return folder


@pytest.fixture(scope="module")
def made(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its page, to be read."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("made") / "project")
    with contextlib.chdir(folder):
        page.main([])
    return folder


@pytest.fixture
def data(made: Path) -> Iterator[Any]:
    with contextlib.chdir(made):
        yield read_data()


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy without the page, entered."""
    shutil.copytree(prepared, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def read_outputs(folder: Path = Path()) -> dict[str, bytes]:
    paths = [path for path in (page.PAGE, page.CARD) if (folder / path).exists()]
    return {str(path): (folder / path).read_bytes() for path in paths}


@pytest.mark.usefixtures("project")
def test_same_bytes_in_another_process_without_tensorflow(made: Path) -> None:
    code = (
        "import sys; from pipeline.page import page; page.main([]);"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "7"}
    environment |= {"TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert len(read_outputs()) == 2
    assert read_outputs() == read_outputs(made)


def test_page_is_self_contained(made: Path) -> None:
    text = (made / page.PAGE).read_text(encoding="utf-8")
    assert re.findall(r"""(?:(?:src|href)=|url\()["']?(?!data:|#|\$)[^"'\s>]+""", text) == []
    assert "default-src 'none'" in text
    assert str(made) not in text
    assert not re.search(r"<!-- [a-z ]+ -->", text)


def test_ranking_has_comparison_differences_and_training_times(data: Any) -> None:
    assert data["classes"] == made_up.NAMES
    fast, final = data["ranking"]
    assert (fast["variant"], final["variant"]) == ("fast", "final")
    assert (fast["accuracy"], fast["seeds"], final["seeds"]) == (0.85, 2, 1)
    assert (final["accuracy_deviation"], final["published_accuracy"]) == (None, 0.7143)
    assert (final["seconds"], final["machine"]) == (75, "2 cores")
    assert fast["seconds"] is None  # that time belongs to another history
    (notebook,) = data["notebook"]
    assert (notebook["variant"], notebook["seconds"]) == ("final", 80)
    assert data["better_than"] == {"fast": ["final"]}
    # Balanced accuracy equals accuracy, and is left out.
    assert data["metrics"] == [
        *("top2_accuracy", "macro_f1", "calibration_error", "one_view_accuracy", "told_unlikely")
    ]
    assert data["libraries"]["numpy"] == np.__version__


def test_summary_is_of_the_best_variant_and_the_best_published(data: Any) -> None:
    summary = javascript.evaluate("elements.js", "summary(argument)", data)
    assert summary.startswith("fast classifies 85.0 % of 1,000 test images correctly")
    for part in ("95 % interval 82.7 % to 87.1 %", "study is 71.4 %"):
        assert part in summary
    assert "training" not in summary
    data["ranking"] = [{**data["ranking"][1], "published_accuracy": None}]
    summary = javascript.evaluate("elements.js", "summary(argument)", data)
    assert "1 min 15 s of training on 2 cores" in summary
    assert "study" not in summary
    expected = {0: "0 s", 45: "45 s", 60: "1 min", 3600: "60 min"}
    found = javascript.evaluate("elements.js", "argument.map(duration)", list(expected))
    assert found == list(expected.values())


def test_variants_have_history_confusion_scores_and_settings(made: Path, data: Any) -> None:
    final = data["variants"]["final"]
    history = made_up.history(4, 70)
    assert final["history"]["val_loss"] == pytest.approx(history["val_loss"].tolist())
    assert data["variants"]["fast"]["history"]["val_accuracy"] == [None] * 8
    counts = made_up.confusion(70, 70)
    assert (final["confusion"], final["pairs"]) == (counts.tolist(), None)
    assert final["scores"]["recall"] == [0.7] * 10
    precision = (70 / counts.sum(axis=0)).tolist()
    assert final["scores"]["precision"] == pytest.approx(precision, abs=1e-6)
    assert final["scores"]["support"] == [100] * 10
    settings = yaml.safe_load(final["settings"])
    assert settings["variant"] == VARIANTS["final"]
    assert settings["recipe study"]["epochs"] == 30
    assert settings["arithmetic study"]["precision"] == "float32"
    assert settings["dataset"]["train_images"] == 10
    assert final["history_md5"] == training_times.history_digest("final", made)


def test_sheets_show_the_images_with_their_indices(made: Path, data: Any) -> None:
    with np.load(made / "data/processed/test.npz") as arrays:
        images = np.rint(255 * arrays["images"]).astype(np.uint8)
    samples, lossy = data["samples"], data["examples"]
    assert samples["indices"] == [100 * k + n for k in range(10) for n in range(2)]
    assert data["sample_labels"] == [k for k in range(10) for _ in range(2)]
    for place, index in enumerate(samples["indices"]):
        np.testing.assert_array_equal(read_tile(samples, place), images[index])
    examples = data["variants"]["final"]["examples"]
    counts = made_up.confusion(70, 70)
    assert {(row[1], row[2]) for row in examples} == set(zip(*np.nonzero(counts), strict=True))
    for index, actual, predicted, confidence in examples:
        assert (index, confidence) == (100 * actual + predicted, round(0.5 + 0.04 * predicted, 4))
        tile = read_tile(lossy, lossy["indices"].index(index)).astype(int)
        error = np.abs(tile - images[index]).mean()
        assert error < 0.8 * np.abs(tile - images[(index + 1) % 1000]).mean()


def test_network_has_the_settings_of_predict(data: Any) -> None:
    network = data["network"]
    assert (network["variant"], network["accuracy"]) == ("fast", 0.8)
    assert network["views"] == {"mirrored": True, "shift": 1, "sure": 0.9}
    assert (network["temperature"], network["unlikely"]) == (0.487, 0.5)
    assert network["max_pixels"] == 89_478_485  # Pillow's


def read_card(folder: Path = Path()) -> tuple[dict[str, Any], str]:
    """Metadata and body of the model card."""
    _, head, body = (folder / page.CARD).read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_card_has_the_metadata_of_hugging_face_and_the_metrics(made: Path) -> None:
    head, body = read_card(made)
    assert head["license"] == "mit"
    (model,) = head["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["split"]) == ("fast", "test")
    assert result["metrics"][0] == {"type": "accuracy", "value": 0.8}
    assert "accuracy 0.8000 (2 seeds: 0.8500 ± 0.0707, 95 % interval 0.8265 to 0.8708)" in body
    assert "Training time: not measured." in body
    counts = made_up.confusion(80, 80)
    worst = int((counts - np.diag(np.diag(counts))).max())
    assert re.search(rf"mistakes: \w+ called \w+ \({worst}\)", body)
    f1 = 2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))
    assert f"Weakest classes: {made_up.NAMES[f1.argmin()]} (F1" in body
    assert re.search(r"\| airplane +\| +0\.\d{4} \| +0\.8000 \|", body)
    assert not re.search(r"\{[a-z_]+\}", body), "a field is not filled"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("variant", ["fast_2", "final"])
def test_another_variant_can_be_the_network(variant: str) -> None:
    """A second seed has no row in the ranking; `final` has one seed, and a training time."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["page"]["variant"] = variant
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    places.model("fast").rename(places.model(variant))
    page.main([])
    accuracy = {"fast_2": 0.9, "final": 0.7}[variant]
    network = read_data()["network"]
    assert (network["variant"], network["accuracy"]) == (variant, accuracy)
    _, body = read_card()
    if variant == "fast_2":
        assert "accuracy 0.9000;" in body
        assert "training_times.csv" in body
    else:
        assert re.search(r"accuracy 0\.7000 \(95 % interval 0\.\d{4} to 0\.\d{4}\)", body)
        assert "Training time: 75 s on 2 cores." in body


@pytest.mark.usefixtures("project")
def test_results_of_another_test_set_are_refused() -> None:
    for variant in VARIANTS:
        made_up.write(variant, 80, classes=made_up.NAMES[:9])
    with pytest.raises(PipelineError, match=r"test\.npz: .* fast"):
        page.main([])


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("reports/variants/final/history.csv", "dvc repro train@final"),
        ("reports/comparison.csv", "dvc repro .*compare"),
        ("reports/differences.csv", "dvc repro .*compare"),
        ("reports/variants/final/examples.csv", "dvc repro .*evaluate@final"),
        ("reports/training_times.csv", "git checkout"),
        ("data/processed/test.npz", "dvc repro"),
        ("models/fast.keras", "dvc repro train@fast"),
    ],
)
@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n"])
@pytest.mark.usefixtures("project")
def test_bad_inputs_name_the_stage_that_makes_them(
    path: str, remedy: str, content: str | None
) -> None:
    if content is None:
        Path(path).unlink()
    else:
        Path(path).write_text(content)
    with pytest.raises(PipelineError, match=rf"{re.escape(path)}.*`{remedy}"):
        page.main([])
    assert read_outputs() == {}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "row", ["1,bird,kite,0.5", "1,kite,bird,0.5", "1,bird,bird,1.5", "1000,bird,bird,0.5"]
)
def test_examples_out_of_range_are_refused(row: str) -> None:
    header = ",".join(page_data.EXAMPLE_COLUMNS)
    places.examples("fast").write_text(f"{header}\n999,bird,airplane,1\n")
    table = page_data.read_examples("fast", made_up.NAMES, 1000)
    assert table.to_numpy().tolist() == [[999, 2, 0, 1]]
    places.examples("fast").write_text(f"{header}\n999,bird,airplane,1\n{row}\n")
    with pytest.raises(PipelineError, match=r"examples\.csv: .*row 2.*evaluate@fast"):
        page_data.read_examples("fast", made_up.NAMES, 1000)


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A project of a folder of photos, of eight oddly named classes, with its page."""
    folder = tmp_path_factory.mktemp("photos") / "project"
    make_project(folder, model, dataset=PHOTOS, classes=ODD, side=48)
    with contextlib.chdir(folder):
        compare.main([])
        page.main([])
    return folder


def test_page_of_photos_names_their_folder_and_classes(of_photos: Path) -> None:
    data = read_data(of_photos / page.PAGE)
    assert (data["classes"], data["side"], data["crop_mode"]) == (ODD, 48, "whole")
    assert (data["dataset"], data["test_images"]) == ("<b>my_pictures &c", 800)
    assert "published_accuracy" not in data["ranking"][0]
    text = (of_photos / page.PAGE).read_text(encoding="utf-8")
    assert text.count("</script>") == 2  # a class name ends no script
    visible = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)
    assert "<h1>Small CNNs on &lt;b&gt;my_pictures &amp;c</h1>" in visible
    assert "images of 48 by 48 pixels into 8 classes" in visible
    assert not re.search("CIFAR|Krizhevsky", visible)
    counts = made_up.confusion(70, 70, len(ODD))
    shown = {(row[1], row[2]) for row in data["variants"]["final"]["examples"]}
    assert shown == set(zip(*np.nonzero(counts), strict=True))


def test_card_of_photos_claims_no_licence(of_photos: Path) -> None:
    head, body = read_card(of_photos)
    assert not re.search("CIFAR|Krizhevsky", body)
    assert not {"license", "datasets"} & set(head)
    assert head["model-index"][0]["results"][0]["dataset"]["name"] == "<b>my_pictures &c"
    assert r"network for \<b>my_pictures \&c" in body
    assert r'a\|b, a,b, say "hi", \$5 \& \$6, Käse' in body
    assert "padded with white to a square, scaled to 48 by 48 pixels" in body
    row = next(line for line in body.splitlines() if line.startswith(r"| a\|b "))
    assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_of_many_classes_the_page_has_the_most_confused_pairs(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"class {k}" for k in range(21)]
    dataset = PHOTOS | {"side": 16, "framing": "centre"}
    project = make_project(tmp_path / "project", model, dataset=dataset, classes=names, side=16)
    monkeypatch.chdir(project)
    compare.main([])
    page.main([])
    final = read_data()["variants"]["final"]
    assert final["confusion"] is None
    pairs = [tuple(pair) for pair in final["pairs"]]
    assert pairs == results.top_confusions(made_up.confusion(70, 70, 21), 15)
    assert {pair[:2] for pair in pairs} <= {(row[1], row[2]) for row in final["examples"]}
    assert len(final["examples"]) <= 15 + 7
    assert max(row[3] for row in final["examples"]) == pytest.approx(0.86)


def test_without_a_matrix_only_pairs_and_top_mistakes_are_shown() -> None:
    rows = [(0, 0, 1, 0.5), (1, 1, 1, 0.99), (2, 1, 2, 0.75), (3, 2, 0, 0.9), (4, 2, 1, 0.25)]
    table = pd.DataFrame(rows, columns=list(page_data.EXAMPLE_COLUMNS))
    assert page_data.select_examples(table, None, 1) is table
    kept = page_data.select_examples(table, [(0, 1, 7), (1, 2, 3)], 1)
    assert kept["index"].tolist() == [0, 2, 3]


def test_samples_fit_into_a_sheet() -> None:
    labels = np.array([2, 0, 0, 1, 0, 2, 2, 2])
    assert page_data.select_samples(labels, 3, 16) == [1, 2, 4, 3, 0, 5, 6]
    assert page_data.select_samples(labels, 3, 362) == [1, 2, 3, 0, 5]  # 8 fit
    assert page_data.select_samples(labels, 3, 724) == [1, 3]  # 2 fit


@pytest.mark.parametrize(
    ("side", "count", "expected"),
    [(32, 8192, 32), (64, 2048, 64), (64, 2049, 48), (100, 10, 96), (16, 10**6, 16)],
)
def test_many_large_examples_are_scaled_down(side: int, count: int, expected: int) -> None:
    assert sprite_sheet.jpeg_side(side, count) == expected


def test_sheets_of_no_and_of_many_images() -> None:
    images = np.linspace(0, 1, 41, dtype=np.float32)[:, None, None, None] * np.ones((1, 20, 20, 3))
    empty = sprite_sheet.encode_jpeg(images, [], 60).model_dump()
    assert (empty["columns"], empty["side"], read_tile(empty, 0).max()) == (1, 16, 0)
    full = sprite_sheet.encode_png(images, range(41)).model_dump()
    assert (full["columns"], full["side"]) == (21, 20)
    for place in (0, 20, 21, 40):
        assert (read_tile(full, place) == round(255 * place / 40)).all()


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        levels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_contrast_in_light_and_dark() -> None:
    style = (PROJECT / page.WEB / "style.css").read_text(encoding="utf-8")
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
