"""Results are read as they were written; missing, damaged and differing files are refused."""

import json
import re
from pathlib import Path

import made_up
import pandas as pd
import pytest
from conftest import PROJECT
from made_up import NAMES

from pipeline.comparison import results
from pipeline.comparison.compare import PUBLISHED
from pipeline.core import paths
from pipeline.core.errors import PipelineError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project folder with the results of `deep`, entered."""
    monkeypatch.chdir(tmp_path)
    made_up.write("deep", 60)


def test_result_is_read_as_it_was_written() -> None:
    result = results.read_result("deep")
    assert result.variant == "deep"
    assert result.metrics.model_dump() == json.loads(paths.metrics("deep").read_text())
    assert result.history.to_dict("list") == pd.read_csv(paths.history("deep")).to_dict("list")
    counts = made_up.confusion(60, 60)
    assert result.confusion.tolist() == counts.tolist()
    assert result.predictions.to_dict("list") == made_up.predictions(counts).to_dict("list")
    assert result.correct.tolist() == ([True] * 60 + [False] * 40) * 10
    assert result.test_images == 1000
    made_up.write("deep", 60, validated=False)
    assert results.read_result("deep").history["val_loss"].isna().all()


def test_classes_may_have_any_name() -> None:
    names = ["class", "f1", "support", "nan", "NA", "1", "Käse & Brot", "a,b", 'say "hi"', "$5|6"]
    made_up.write("odd", 70, classes=names)
    result = results.read_result("odd")
    assert result.classes == tuple(names)
    assert result.confusion.tolist() == made_up.confusion(70, 70, len(names)).tolist()


FILES = {
    "metrics.json": "evaluate@deep",
    "classes.csv": "evaluate@deep",
    "predictions.csv": "evaluate@deep",
    "history.csv": "train@deep",
}
DAMAGES = {"missing": None, "empty": b"", "binary": b"\xff\x00\x80", "another": b"a,b\n1,2\n"}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_named_with_the_stage_that_makes_it(file: str, damage: str) -> None:
    path, content = Path("reports/variants/deep", file), DAMAGES[damage]
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(PipelineError) as caught:
        results.read_result("deep")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(f"; run `dvc repro {FILES[file]}`")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("file", "pattern", "replacement"),
    [
        ("history.csv", r"(\n2,.*),.*", r"\1,"),
        ("history.csv", "epoch,accuracy,loss", "epoch,loss,accuracy"),
        ("classes.csv", "precision,recall", "recall,precision"),
        ("classes.csv", r"\ncat,", r"\ndog,"),
        ("history.csv", r"(?s)\n.*", "\n"),
        ("predictions.csv", r"\ncat,", r"\nlion,"),
        ("predictions.csv", r",cat,", r",lion,"),
        ("predictions.csv", r"0\.55", "1.55"),
        ("predictions.csv", r"0\.55\d*", ""),
        ("predictions.csv", "actual,predicted", "predicted,actual"),
    ],
)
def test_impossible_values_are_refused(file: str, pattern: str, replacement: str) -> None:
    path = Path("reports/variants/deep", file)
    text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), count=1)
    assert count
    path.write_text(text, encoding="utf-8")
    expected = "classes.csv|predictions.csv" if file == "classes.csv" else file
    with pytest.raises(PipelineError, match=expected):
        results.read_result("deep")


def test_variants_of_other_classes_or_test_images_are_refused() -> None:
    assert len(results.read_results(["deep", "deep"])) == 2
    remedy = "run `dvc repro evaluate@deep evaluate@other`$"
    made_up.write("other", 60, classes=[*NAMES[:9], "tractor"])
    with pytest.raises(PipelineError, match=remedy):
        results.read_results(["deep", "other"])
    made_up.write("other", 60)
    path = paths.predictions("other")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(PipelineError, match=remedy):
        results.read_results(["deep", "other"])


def test_published_figures_are_the_studys() -> None:
    published = results.read_published(PROJECT / PUBLISHED)
    assert published["accuracy"].to_dict() == {
        "baseline": 0.6005,
        "improved": 0.6388,
        "deep": 0.6990,
        "final": 0.7143,
    }
    assert published["loss"].tolist() == [1.1667, 1.0321, 1.8069, 0.8692]
    assert published["best_val_accuracy"].tolist() == [0.6007, 0.6468, 0.7125, 0.7175]
    assert published["best_val_epoch"].tolist() == [26, 28, 11, 27]
