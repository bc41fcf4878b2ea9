"""Results are read as they were written; missing, damaged and differing files are refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import made_up
import pandas as pd
import pytest
from made_up import NAMES

from pipeline.comparison import results
from pipeline.core import paths
from pipeline.core.errors import PipelineError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project folder with the results of `deep`, entered."""
    monkeypatch.chdir(tmp_path)
    made_up.write("deep", 60)


ODD = ["class", "f1", "support", "nan", "NA", "1", "Käse & Brot", "a,b", 'say "hi"', "$5|6"]


@pytest.mark.parametrize("classes", [NAMES, ODD])
def test_result_is_read_as_it_was_written(classes: list[str]) -> None:
    made_up.write("deep", 60, classes=classes)
    result = results.read_result("deep")
    assert (result.variant, result.classes) == ("deep", tuple(classes))
    assert result.metrics.model_dump() == json.loads(paths.metrics("deep").read_text())
    assert result.history.to_dict("list") == pd.read_csv(paths.history("deep")).to_dict("list")
    counts = made_up.confusion(60, 60)
    assert result.confusion.tolist() == counts.tolist()
    pd.testing.assert_frame_equal(result.predictions, made_up.predictions(counts))
    assert result.correct.tolist() == ([True] * 60 + [False] * 40) * 10
    assert len(result.predictions) == 1000
    made_up.write("deep", 60, validated=False)
    assert results.read_result("deep").history["val_loss"].isna().all()


FILES = ("metrics.json", "classes.csv", "predictions.csv", "history.csv")
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "binary": lambda _: b"\xff\x00\x80",
    "other columns": lambda content: re.sub(rb"loss|class|predicted", b"other", content),
    "unknown class": lambda content: re.sub(rb"\ncat,", b"\nlion,", content, count=1),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_named_with_the_stage_that_makes_it(file: str, damage: str) -> None:
    path = Path("reports/variants/deep", file)
    before = path.read_bytes()
    content = DAMAGES[damage](before)
    if content == before:
        pytest.skip("no such damage")
    path.unlink() if content is None else path.write_bytes(content)
    if (file, damage) == ("classes.csv", "unknown class"):
        file = "predictions.csv"  # which has the class that is now unknown
    stage = "train" if file == "history.csv" else "evaluate"
    with pytest.raises(PipelineError, match=rf"{file}: .*`dvc repro {stage}@deep`"):
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
