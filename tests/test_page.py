"""Stage page: the page and the model card of made-up results, and errors for bad inputs."""

import re
import shutil
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
import workspace
import yaml
from page_project import ODD, PHOTOS, VARIANTS, make_page, read_data, read_image

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.page import page
from pipeline.page.page_data import Page


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
    workspace.run_code(code, PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C")
    for path in (page.PAGE, page.CARD):
        assert (project / path).read_bytes() == (made / path).read_bytes()


def test_page_is_self_contained(made: Path) -> None:
    text = (made / page.PAGE).read_text(encoding="utf-8")
    assert re.findall(r"""(?:src=|link .*href=|url\()["']?(?!data:|#|\$)[^"'\s>]+""", text) == []
    assert "default-src 'none'" in text
    assert re.findall('<a href="(.*?)"', text) == ["model_card.md", "fast.tflite", "../README.md"]
    assert "fast says so of 25.0% of 700 photos of other things, and of 12.5%" in text
    assert str(made) not in text
    assert "fast classifies 85.0 % of 1,000 test images" in text


def test_ranking_has_comparison_differences_and_training_times(data: Any) -> None:
    assert data["classes"] == made_up.NAMES
    fast, final = data["ranking"]
    assert (fast["variant"], fast["seeds"], fast["accuracy"]) == ("fast", 2, 0.85)
    assert (final["variant"], final["seeds"], final["accuracy_deviation"]) == ("final", 1, None)
    assert (fast["published_accuracy"], final["published_accuracy"]) == (None, 0.7143)
    assert fast["time"] is None  # that of another history
    assert final["time"] == [75, "2 cores of P"]
    assert (fast["better_than"], final["better_than"]) == (["final"], [])


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
    samples = read_data(made / page.PAGE, "samples-data")
    assert [label for label, _ in samples] == [k for k in range(10) for _ in range(2)]
    for number, (label, webp) in enumerate(samples):
        np.testing.assert_array_equal(read_image(webp), pixels[100 * label + number % 2])
    examples = read_data(made / page.PAGE, "examples")
    expected = made_up.predictions(made_up.confusion(70, 70))
    for index, actual, predicted, confidence in data["variants"]["final"]["examples"]:
        assert expected.loc[index].tolist() == [actual, predicted, confidence]
        shown = read_image(examples[str(index)]).astype(int)
        errors = [np.abs(shown - pixels[k]).mean() for k in (index, (index + 1) % 1000)]
        assert errors[0] < 0.8 * errors[1]


def edit_page(**settings: Any) -> None:
    """Change the section `page` of params.yaml."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["page"] |= settings
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


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
    assert "On 1,000 test images: accuracy 0.8, loss 1.2, macro F1 0.2." in body


def test_another_network_no_significant_differences_and_many_examples(
    project: Path, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first network is that of a second seed, which has no row in the ranking."""
    edit_page(variant="fast_2", repository="https://example.org/a?b=1&c=2")
    paths.model("fast").rename(paths.model("fast_2"))
    paths.tflite("fast").rename(paths.tflite("fast_2"))
    table = Path("reports/differences.csv")
    table.write_text(table.read_text().replace("True", "False"))
    page.UNLIKE.write_text(page.UNLIKE.read_text().replace(",700,", "0,700,"))  # of another model
    shown = {row[0] for variant in data["variants"].values() for row in variant["examples"]}
    monkeypatch.setattr(page, "EXAMPLE_PIXELS", 16**2 * len(shown))
    page.main([])
    data, (network, other) = read_data(), read_data()["networks"]
    assert (network["variant"], network["accuracy"], other["variant"]) == ("fast_2", 0.9, "final")
    text = page.PAGE.read_text(encoding="utf-8")
    assert re.findall('<a href="(.*?)"', text) == ["https://example.org/a?b=1&amp;c=2"]
    assert "photos of other things" not in text
    tta = {"horizontal_flip": True, "shift": 1, "confidence_threshold": 0.9}
    expected = {"test_time_augmentation": tta, "temperature": 0.487, "rejection_threshold": 0.5}
    assert network["config"] == expected
    assert "accuracy 0.9, loss 1.1" in read_card()[1]
    assert [row["better_than"] for row in data["ranking"]] == [[], []]
    assert {read_image(file).shape for file in read_data(name="examples").values()} == {(16, 16, 3)}


@pytest.mark.usefixtures("project")
def test_page_before_its_own_variant_has_ended() -> None:
    edit_page(variant="final")
    page.main(["fast"])
    assert not page.PAGE.exists()
    edit_page(compared_with=["final", "fast"])
    page.main(["fast"])
    (network,) = read_data()["networks"]
    assert network["variant"] == "fast"
    assert "1 of 2 variants so far" in page.PAGE.read_text(encoding="utf-8")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("path", "content", "remedy"),
    [
        ("reports/variants/final/predictions.csv", "a,b\n1,2\n", "dvc repro evaluate@final"),
        ("models/fast.keras", "a,b\n1,2\n", "dvc repro train@fast"),
        ("models/fast.keras", None, "dvc repro train@fast"),
    ],
)
def test_bad_inputs_name_the_stage_that_makes_them(
    path: str, content: str | None, remedy: str
) -> None:
    Path(path).unlink()
    if content:
        Path(path).write_text(content)
    with pytest.raises(PipelineError, match=rf"{re.escape(path)}.*{remedy}"):
        page.main([])
    assert not page.PAGE.exists()
    assert not page.CARD.exists()


def test_page_and_card_of_photos(tmp_path: Path, tensorflow_started: None) -> None:
    """They escape the names of folder and classes, and claim no licence."""
    folder = make_page(tmp_path / "project", dataset=PHOTOS, classes=ODD, side=48)
    data = read_data(folder / page.PAGE)
    assert (data["classes"], data["side"], data["crop_mode"]) == (ODD, 48, "whole")
    assert data["ranking"][0]["published_accuracy"] is None
    text = (folder / page.PAGE).read_text(encoding="utf-8")
    assert text.count("</script>") == text.count("<script")  # a class name ends no script
    assert "<h1>Small CNNs on &lt;b&gt;my_pictures &amp;c</h1>" in text
    head, body = read_card(folder)
    assert not re.search("CIFAR|Krizhevsky", text + body)
    assert not {"license", "datasets"} & set(head)
    assert head["model-index"][0]["results"][0]["dataset"]["name"] == "<b>my_pictures &c"
    assert r"network for \<b>my_pictures \&c" in body
    assert r'a\|b, a,b, say "hi", \$5 \& \$6, Käse' in body


def test_examples_are_the_most_confident_of_each_cell_and_of_all_misclassified() -> None:
    cells = [(0, 0, 0.5), (0, 0, 0.75), (0, 0, 0.6), *((0, 1, c) for c in (0.8, 0.3, 0.9, 0.7))]
    table = pd.DataFrame(cells, columns=["actual", "predicted", "confidence"])
    networks: Any = {"variant": "a", "compared_with": ["b", "c"], "repository": None}
    settings = Page(**networks, examples=1, misclassified=2, samples=1)
    assert page.select_examples(table, settings)["index"].tolist() == [5, 3, 1]


def test_samples_fit_into_the_page() -> None:
    labels = [2, 0, 0, 1, 0, 2, 2, 2]
    assert page.select_samples(labels, 3, 16) == [0, 1, 2, 3, 4, 5, 6]
    assert page.select_samples(labels, 3, 400) == [0, 1, 2, 3, 5]  # 2 of a class fit
    assert page.select_samples(labels, 3, 2000) == [0, 1, 3]
