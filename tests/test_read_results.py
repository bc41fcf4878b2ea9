"""What compare reads of a variant: everything that was written, and nothing that cannot be."""

import json
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
from made_up import NAMES

from pipeline.base.errors import PipelineError
from pipeline.compare import results
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
    with pytest.raises(PipelineError, match="expected the rows airplane, automobile, bird, cat"):
        results.read("deep")


def test_refuses_the_right_images_of_another_test_set() -> None:
    right.write(places.right("deep"), np.ones(10_000, bool))
    with pytest.raises(PipelineError, match=r"right\.png: expected .* each of 1000 test images"):
        results.read("deep")
