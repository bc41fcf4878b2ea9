"""Stage page: the page and the model card of made-up results, and errors for bad inputs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT
from page_project import ODD, PHOTOS, VARIANTS, make_page, read_data, read_image

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.page import images, page
from pipeline.page.page_data import Page

NOISE = np.random.default_rng(2).random((3, 20, 20, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """A project with its page, to be read."""
    return make_page(tmp_path_factory.mktemp("page") / "project")


@pytest.fixture
def data(made: Path) -> Any:
    return read_data(made / page.PAGE)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy without the page, entered."""
    folder = shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(folder)
    page.PAGE.unlink()
    page.CARD.unlink()
    return folder


def test_same_bytes_in_another_process_without_tensorflow(made: Path, project: Path) -> None:
    code = (
        "import sys; from pipeline.page import page; page.main([]);"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "7"}
    environment |= {"TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    for path in (page.PAGE, page.CARD):
        assert (project / path).read_bytes() == (made / path).read_bytes()


def test_page_is_self_contained(made: Path) -> None:
    text = (made / page.PAGE).read_text(encoding="utf-8")
    assert re.findall(r"""(?:(?:src|href)=|url\()["']?(?!data:|#|\$)[^"'\s>]+""", text) == []
    assert "default-src 'none'" in text
    assert str(made) not in text
    assert not re.search(r"<!-- [a-z ]+ -->", text)
    best = r"fast classifies 85.0 % of 1,000 test images .*\(95 % interval 82.7 % to 87.1 %\)"
    assert re.search(best, text)


def test_ranking_has_comparison_differences_and_training_times(data: Any) -> None:
    assert data["classes"] == made_up.NAMES
    fast, final = data["ranking"]
    assert (fast["variant"], fast["seeds"], fast["accuracy"]) == ("fast", 2, 0.85)
    assert (final["variant"], final["seeds"], final["accuracy_deviation"]) == ("final", 1, None)
    assert final["published_accuracy"] == 0.7143
    assert (final["time"], final["notebook_time"]) == ([75, "2 cores"], [80, "2 cores"])
    assert fast["time"] is None  # that time belongs to another history
    assert (fast["better_than"], final["better_than"]) == (["final"], [])
    assert final["metrics"]["without TTA"] == pytest.approx(0.7 / 16)
    assert "balanced accuracy" not in final["metrics"]  # equal to accuracy


@pytest.mark.usefixtures("project")
def test_differences_that_are_not_significant_are_not_listed() -> None:
    table = Path("reports/differences.csv")
    table.write_text(table.read_text().replace("True", "False"))
    page.main([])
    assert [row["better_than"] for row in read_data()["ranking"]] == [[], []]


def test_variants_have_history_confusion_scores_and_settings(data: Any) -> None:
    final = data["variants"]["final"]
    history = made_up.history(4, 70)
    assert final["history"]["val_loss"] == pytest.approx(history["val_loss"].tolist())
    assert data["variants"]["fast"]["history"]["val_accuracy"] == [None] * 8
    counts = made_up.confusion(70, 70)
    assert final["confusion"] == counts.tolist()
    assert final["scores"]["recall"] == [0.7] * 10
    precision = (70 / counts.sum(axis=0)).tolist()
    assert final["scores"]["precision"] == pytest.approx(precision, abs=1e-6)
    assert final["scores"]["support"] == [100] * 10
    settings = yaml.safe_load(final["settings"])
    assert settings["variant"] == VARIANTS["final"]
    assert settings["recipes.study"]["epochs"] == 30
    assert settings["numerics.study"]["precision"] == "float32"
    assert settings["dataset"]["train_images"] == 10


def test_images_are_those_of_the_test_set(made: Path, data: Any) -> None:
    with np.load(made / paths.split("test")) as arrays:
        pixels = np.rint(255 * arrays["images"]).astype(np.uint8)
    assert [label for label, _ in data["samples"]] == [k for k in range(10) for _ in range(2)]
    for number, (label, png) in enumerate(data["samples"]):
        np.testing.assert_array_equal(read_image(png), pixels[100 * label + number % 2])
    expected = made_up.predictions(made_up.confusion(70, 70))
    for index, actual, predicted, confidence in data["variants"]["final"]["examples"]:
        assert expected.loc[index].tolist() == [actual, predicted, confidence]
        shown = read_image(data["jpeg_header"] + data["examples"][str(index)])
        errors = [np.abs(shown.astype(int) - pixels[k]).mean() for k in (index, (index + 1) % 1000)]
        assert errors[0] < 0.8 * errors[1]


def test_network_has_the_settings_of_predict(data: Any) -> None:
    network = data["network"]
    assert (network["variant"], network["accuracy"]) == ("fast", 0.8)
    assert network["tta"] == {"horizontal_flip": True, "shift": 1, "confidence_threshold": 0.9}
    assert (network["temperature"], network["rejection_threshold"]) == (0.487, 0.5)


def read_card(folder: Path = Path()) -> tuple[dict[str, Any], str]:
    """Metadata and body of the model card."""
    _, head, body = (folder / page.CARD).read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_card_has_the_metadata_of_hugging_face_and_the_metrics(made: Path) -> None:
    head, body = read_card(made)
    assert (head["license"], head["datasets"]) == ("mit", ["uoft-cs/cifar10"])
    (model,) = head["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["split"]) == ("fast", "test")
    assert [metric["value"] for metric in result["metrics"]] == [0.8, 0.2]
    assert "0.8 (mean over seeds, 2: 0.8500, 95 % interval 0.8265 to 0.8708), loss 1.2" in body
    assert "Training time: not measured." in body
    assert f"numpy=={np.__version__}" in body


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("variant", "accuracy", "expected"),
    [("fast_2", 0.9, "training_times.csv"), ("final", 0.7, "Training time: 75 s on 2 cores.")],
)
def test_another_variant_can_be_the_network(variant: str, accuracy: float, expected: str) -> None:
    """A second seed has no row in the ranking; `final` has one seed, and a training time."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["page"]["variant"] = variant
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    paths.model("fast").rename(paths.model(variant))
    page.main([])
    network = read_data()["network"]
    assert (network["variant"], network["accuracy"]) == (variant, accuracy)
    assert expected in read_card()[1]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("reports/variants/final/predictions.csv", "dvc repro evaluate@final"),
        ("reports/training_times.csv", "git checkout"),
        ("data/processed/test.npz", "dvc repro"),
        ("models/fast.keras", "dvc repro train@fast"),
    ],
)
def test_bad_inputs_name_the_stage_that_makes_them(path: str, remedy: str) -> None:
    Path(path).write_text("a,b\n1,2\n")
    with pytest.raises(PipelineError, match=rf"{re.escape(path)}.*{remedy}"):
        page.main([])
    assert not page.PAGE.exists()
    assert not page.CARD.exists()


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """A project of a folder of photos, of eight oddly named classes, with its page."""
    folder = tmp_path_factory.mktemp("photos") / "project"
    return make_page(folder, dataset=PHOTOS, classes=ODD, side=48)


def test_page_of_photos_escapes_the_names_of_folder_and_classes(of_photos: Path) -> None:
    data = read_data(of_photos / page.PAGE)
    assert (data["classes"], data["side"], data["crop_mode"]) == (ODD, 48, "whole")
    assert data["ranking"][0]["published_accuracy"] is None
    text = (of_photos / page.PAGE).read_text(encoding="utf-8")
    assert text.count("</script>") == 2  # a class name ends no script
    assert "<h1>Small CNNs on &lt;b&gt;my_pictures &amp;c</h1>" in text
    assert not re.search("CIFAR|Krizhevsky", text)


def test_card_of_photos_claims_no_licence(of_photos: Path) -> None:
    head, body = read_card(of_photos)
    assert not re.search("CIFAR|Krizhevsky", body)
    assert not {"license", "datasets"} & set(head)
    assert head["model-index"][0]["results"][0]["dataset"]["name"] == "<b>my_pictures &c"
    assert r"network for \<b>my_pictures \&c" in body
    assert r'a\|b, a,b, say "hi", \$5 \& \$6, Käse' in body


def test_examples_are_the_most_confident_of_each_cell_and_of_all_misclassified() -> None:
    cells = [(0, 0, 0.5), (0, 0, 0.75), (0, 0, 0.6), *((0, 1, c) for c in (0.8, 0.3, 0.9, 0.7))]
    table = pd.DataFrame(cells, columns=["actual", "predicted", "confidence"])
    settings = Page(variant="fast", examples=1, misclassified=2, samples=1, jpeg_quality=60)
    assert sorted(page.select_examples(table, settings)["index"]) == [1, 3, 5]


def test_samples_fit_into_the_page() -> None:
    labels = np.array([2, 0, 0, 1, 0, 2, 2, 2])
    assert page.select_samples(labels, 3, 16) == [0, 1, 2, 3, 4, 5, 6]
    assert page.select_samples(labels, 3, 400) == [0, 1, 2, 3, 5]  # 2 of a class fit
    assert page.select_samples(labels, 3, 2000) == [0, 1, 3]


def test_many_large_examples_are_scaled_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for pixels, side in ((3 * 20 * 20, 20), (3 * 20 * 20 - 1, 19)):
        monkeypatch.setattr(images, "JPEG_PIXELS", pixels)
        header, files = images.encode_jpegs(NOISE, [2, 0, 1], 60)
        assert len(header) > 500
        for index in (0, 1, 2):
            shown = read_image(header + files[index])
            assert shown.shape == (side, side, 3)
            assert abs(shown.mean() - 255 * NOISE[index].mean()) < 2
    assert images.encode_jpegs(NOISE, [], 60) == ("", {})
