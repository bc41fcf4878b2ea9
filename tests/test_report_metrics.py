"""metrics.json, read back: figures beyond the known ones are welcome, wrong ones are not."""

import json
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.report import metrics

KNOWN = {"accuracy": 0.5, "loss": 1.25, "parameters": 7}


def write(folder: Path, text: str) -> None:
    path = folder / "reports/variants/deep/metrics.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_figures_that_nobody_names_are_read_as_well(tmp_path: Path) -> None:
    write(tmp_path, json.dumps({**KNOWN, "macro_f1": 0.25, "new": 3}))
    found = metrics.read("deep", tmp_path)
    assert (found.accuracy, found.loss, found.parameters) == (0.5, 1.25, 7)
    assert found.model_dump() == {**KNOWN, "macro_f1": 0.25, "new": 3.0}


def test_without_a_folder_those_of_the_current_one_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, json.dumps(KNOWN))
    monkeypatch.chdir(tmp_path)
    assert metrics.read("deep").model_dump() == KNOWN


def test_accuracy_may_be_none_or_all_of_the_images(tmp_path: Path) -> None:
    for accuracy in (0, 1):
        write(tmp_path, json.dumps({**KNOWN, "accuracy": accuracy, "loss": 0, "parameters": 0}))
        assert metrics.read("deep", tmp_path).accuracy == accuracy


BAD = {
    "missing": (None, "No such file or directory"),
    "empty": ("", "Invalid JSON"),
    "cut": ('{"accuracy": 0.5', "Invalid JSON"),
    "a list": ("[0.5, 1.25, 7]", "Input should be an object"),
    "no loss": ('{"accuracy": 0.5, "parameters": 7}', "loss: Field required"),
    "NaN": ('{"accuracy": NaN, "loss": 1.25, "parameters": 7}', "accuracy: .*finite"),
    "infinite": ('{"accuracy": 0.5, "loss": Infinity, "parameters": 7}', "loss: .*finite"),
    "above 1": ('{"accuracy": 1.01, "loss": 1.25, "parameters": 7}', "accuracy: .*less than"),
    "negative": ('{"accuracy": 0.5, "loss": -0.1, "parameters": 7}', "loss: .*greater than"),
    "text": ('{"accuracy": "0.5", "loss": 1.25, "parameters": 7}', "accuracy: .*number"),
    "half": ('{"accuracy": 0.5, "loss": 1.25, "parameters": 0.5}', "parameters: .*integer"),
    "extra NaN": ('{"accuracy": 0.5, "loss": 1.25, "parameters": 7, "new": NaN}', "new: .*finite"),
    "extra text": ('{"accuracy": 0.5, "loss": 1.25, "parameters": 7, "new": "1"}', "new: .*number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_names_the_file_the_figure_and_what_makes_it(tmp_path: Path, kind: str) -> None:
    text, found = BAD[kind]
    if text is not None:
        write(tmp_path, text)
    with pytest.raises(
        PipelineError,
        match=r"^reports/variants/deep/metrics\.json: expected numbers in JSON, accuracy, loss, "
        rf"parameters among them, found {found}.*; run `dvc repro evaluate@deep`$",
    ):
        metrics.read("deep", tmp_path)
