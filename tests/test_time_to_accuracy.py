"""Accuracy against training time: what the table says, and that the committed one is right."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROJECT

from pipeline import results, time_to_accuracy
from pipeline.errors import PipelineError

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "accuracy": [0.3, 0.4, 0.5, 0.6],
        "loss": [2.0, 1.8, 1.6, 1.4],
        "val_accuracy": [0.35, 0.45, 0.5, 0.55],
        "val_loss": [2.0, 1.8, 1.7, 1.6],
    }
)


def test_way_ends_at_the_test_accuracy_after_the_whole_time() -> None:
    way = time_to_accuracy.ours("final", 0.7, 120.0, HISTORY)
    assert list(way["seconds"]) == [30.0, 60.0, 90.0, 120.0, 120.0]
    assert list(way["accuracy"]) == [0.35, 0.45, 0.5, 0.55, 0.7]
    assert list(way["measured_on"]) == ["validation"] * 4 + ["test"]


def test_without_validation_there_is_only_the_end() -> None:
    blank = HISTORY.assign(val_accuracy=float("nan"), val_loss=float("nan"))
    way = time_to_accuracy.ours("fast", 0.9, 120.0, blank)
    assert way[["seconds", "accuracy"]].to_numpy().tolist() == [[120.0, 0.9]]


def test_notebook_is_what_was_published_at_the_time_it_takes_here() -> None:
    published = results.read_published(PROJECT / "pipeline/published.csv")
    seconds = {"baseline": 10.0, "improved": 20.0, "deep": 25.0, "final": 30.0}
    table = time_to_accuracy.notebook(published, seconds).set_index(["variant", "epoch"])
    assert table.loc[("final", 30), ["seconds", "accuracy"]].tolist() == [900.0, 0.7143]
    assert table.loc[("deep", 11), ["seconds", "accuracy"]].tolist() == [275.0, 0.7125]


def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"reports/comparison\.csv.*run `make repro`"):
        time_to_accuracy.main()


def test_says_which_record_of_a_run_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("reports", "pipeline"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    first = pd.read_csv(tmp_path / "reports/comparison.csv")["variant"][0]
    (tmp_path / f"reports/runs/train@{first}.json").unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PipelineError, match=rf"runs/train@{first}\.json.*single-item train@{first}"
    ):
        time_to_accuracy.main()
    assert _written(tmp_path) == _written(PROJECT)  # nothing half-written


def _written(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "reports").glob("time_to_accuracy.*"))]


def test_committed_table_is_that_of_the_committed_runs() -> None:
    table = pd.read_csv(PROJECT / "reports/time_to_accuracy.csv")
    ends = table[table["trained"] == "pipeline"].groupby("variant").last()
    comparison = pd.read_csv(PROJECT / "reports/comparison.csv").set_index("variant")
    assert set(ends.index) == set(comparison.index), "run `make repro`"
    for variant, row in ends.iterrows():
        run = json.loads((PROJECT / f"reports/runs/train@{variant}.json").read_text())
        assert row["seconds"] == pytest.approx(run["seconds"], abs=1e-4), "run `make repro`"
        assert row["accuracy"] == pytest.approx(comparison.loc[variant, "accuracy"], abs=1e-4)
