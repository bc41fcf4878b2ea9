"""What compare reads of a variant: everything that was written, and nothing that cannot be."""

import json
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
from made_up import NAMES

from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.report import places, right


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project folder with the results of `deep`, entered."""
    monkeypatch.chdir(tmp_path)
    made_up.write("deep", 60)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("metrics.json", '"accuracy": 0.', '"accuracy": 1.'),
        ("metrics.json", '"loss"', '"los"'),
        ("metrics.json", '"parameters": ', '"parameters": 0.5'),
        ("metrics.json", '"calibration_error": ', '"calibration_error": 1e999'),
        ("history.csv", "\n2,", "\n3,"),
        ("history.csv", "\n2,", "\n2,nan"),
        ("history.csv", "epoch,accuracy,loss", "epoch,loss,accuracy"),
        ("classes.csv", "cat,", "dog,"),
        ("classes.csv", ",100,", ",100,-"),
        ("classes.csv", ",100,", ",100,0.5"),
    ],
)
def test_refuses_impossible_values(file: str, old: str, new: str) -> None:
    path = Path("reports/variants/deep", file)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PipelineError, match=rf"^reports/variants/deep/{file}: ") as caught:
        results.read("deep")
    assert "\n" not in str(caught.value)


def test_a_figure_of_validation_that_is_missing_in_some_epochs_only_is_refused() -> None:
    made_up.write("deep", 60, validated=False)
    assert not results.read("deep").validated
    path = places.history("deep")
    history = pd.read_csv(path)
    history.loc[2, "val_loss"] = 0.5
    history.to_csv(path, index=False)
    with pytest.raises(PipelineError, match=r"history\.csv: expected finite numbers for epochs"):
        results.read("deep")


def test_reads_what_was_written_of_a_variant() -> None:
    found = results.read("deep")
    assert found.variant == "deep"
    assert found.metrics.accuracy == 0.6
    assert found.metrics.model_dump() == json.loads(places.metrics("deep").read_text())
    assert found.history.to_dict("list") == pd.read_csv(places.history("deep")).to_dict("list")
    assert found.confusion.tolist() == made_up.confusion(60, 60).tolist()
    assert (found.confusion != found.confusion.T).any()
    assert found.test_images == len(found.right) == 1000
    assert found.right.tolist() == ([True] * 60 + [False] * 40) * 10
    assert found.validated


def test_refuses_classes_in_another_order() -> None:
    path = places.classes("deep")
    table = pd.read_csv(path)
    assert list(table["class"]) == NAMES
    table.iloc[::-1].to_csv(path, index=False)
    message = "expected a row and a column for each class, in one order, found rows truck, ship, "
    with pytest.raises(PipelineError, match=message):
        results.read("deep")


ODD = [
    *("class", "f1", "support", "nan", "NA", "1", "Käse & Brot", "a,b", 'say "hi"', "<b>", "$5|6"),
]


def test_classes_may_be_called_anything() -> None:
    made_up.write("odd", 70, classes=ODD)
    found = results.read("odd")
    assert found.classes == tuple(ODD)
    assert found.confusion.tolist() == made_up.confusion(70, 70, len(ODD)).tolist()


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            NAMES[:9],
            r"expected 10 classes as in reports/variants/deep/classes\.csv, found 9 classes",
        ),
        (
            [*NAMES[:9], "tractor"],
            r"expected class 10: truck as in reports/variants/deep/\S+, found class 10: tractor",
        ),
    ],
)
def test_variants_of_other_classes_are_not_compared(names: list[str], line: str) -> None:
    made_up.write("other", 60, classes=names)
    remedy = "run `dvc repro evaluate@deep evaluate@other`"
    whole = rf"^reports/variants/other/classes\.csv: {line}; {remedy}$"
    with pytest.raises(PipelineError, match=whole):
        results.read_all(["deep", "other"])
    assert [found.variant for found in results.read_all(["deep", "deep"])] == ["deep", "deep"]


def test_variants_of_other_test_images_are_not_compared() -> None:
    made_up.write("other", 60)
    path = places.classes("other")
    table = pd.read_csv(path)
    table.loc[2, "bird"] -= 1
    table.to_csv(path, index=False)
    right.write(places.right("other"), np.ones(999, bool))
    message = r"expected 100 test images of bird as in .*, found 99 test images of bird; run"
    with pytest.raises(PipelineError, match=message):
        results.read_all(["deep", "other"])


def test_most_confused_pairs_the_most_frequent_first_equal_ones_as_the_classes_stand() -> None:
    counts = np.array([[9, 2, 0], [5, 9, 2], [2, 0, 9]])
    every = [(1, 0, 5), (0, 1, 2), (1, 2, 2), (2, 0, 2)]
    assert results.confused(counts, 9) == every
    assert results.confused(counts, 3) == every[:3]
    assert results.confused(np.eye(3, dtype=np.int64), 9) == []


def test_refuses_the_right_images_of_another_test_set() -> None:
    right.write(places.right("deep"), np.ones(10_000, bool))
    with pytest.raises(PipelineError, match=r"right\.png: expected .* each of 1000 test images"):
        results.read("deep")
