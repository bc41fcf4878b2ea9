"""Training times and accuracy against them: what is kept, what is drawn, what is committed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import PROJECT

from pipeline.comparison.compare import PUBLISHED
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.page import training_times as table
from pipeline.plotting import Figure
from pipeline.tools import training_times


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the comparison, histories and runs of two variants."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("dataset: {kind: cifar10}\n")
    for path in (PUBLISHED, Path("reports/runs/x"), training_times.MEASURED_NOTEBOOK):
        path.parent.mkdir(parents=True)
    shutil.copy(PROJECT / PUBLISHED, PUBLISHED)
    Path("reports/comparison.csv").write_text("variant,accuracy\nfast,0.9\nfinal,0.7\n")
    for variant, seconds in (("final", 120.0), ("fast", 50.0)):
        train(variant, seconds, "P, b", "one")
    seconds_per_epoch = {"baseline": 10.0, "improved": 20.0, "deep": 25.0, "final": 30.0}
    measured = {"measured": "2026-11-25, 4 cores of N, n, commit 1", "seconds": seconds_per_epoch}
    training_times.MEASURED_NOTEBOOK.write_text(json.dumps(measured))
    table.PATH.write_text(table.HEADER)
    return tmp_path


def train(variant: str, seconds: float, processor: str, history: str) -> None:
    """Write the run of a training and its history."""
    run = {"seconds": seconds, "processor": processor, "cores": 4, "libraries": {}}
    Path(f"reports/runs/train@{variant}.json").write_text(json.dumps(run))
    paths.history(variant).parent.mkdir(parents=True, exist_ok=True)
    paths.history(variant).write_text(history)


def known_time(variant: str) -> tuple[float, str] | None:
    row = table.training_time(table.read_training_times(), variant)
    return row and (row.seconds, row.machine)


def points(figure: Figure) -> dict[str, tuple[float, float]]:
    """Seconds and accuracy by the name beside them, as both are drawn."""
    (axis,) = figure.axes
    texts: Any = axis.texts
    lines: Any = axis.lines
    assert [text.xy for text in texts] == [tuple(line.get_xydata()[0]) for line in lines]
    return {text.get_text(): text.xy for text in texts}


@pytest.mark.usefixtures("project")
def test_each_variant_and_the_notebook_s_are_a_point(drawn: dict[str, Figure]) -> None:
    training_times.main()
    figure = drawn["time_to_accuracy.png"]
    named = {
        "baseline, notebook": (300, 0.6005),
        "improved, notebook": (600, 0.6388),
        "deep, notebook": (750, 0.699),
        "final, notebook": (900, 0.7143),
    }
    assert points(figure) == {"fast": (50, 0.9), "final": (120, 0.7), **named}
    lines = dict(zip(points(figure), figure.axes[0].lines, strict=True))
    styles = [(line.get_color(), line.get_marker()) for line in lines.values()]
    for style in zip(*styles, strict=True):
        assert len(set(style)) == 5, "a colour and a marker per variant"
    assert styles[list(lines).index("final")] == styles[list(lines).index("final, notebook")]
    hollow = {name for name, line in lines.items() if line.get_markerfacecolor() == (1, 1, 1)}
    assert hollow == named.keys()
    written = pd.read_csv(table.PATH)
    assert list(written["seconds"]) == [50, 120, 300, 600, 750, 900]
    assert list(written["machine"]) == ["4 cores of P, b"] * 2 + ["4 cores of N, n"] * 4


@pytest.mark.usefixtures("project")
def test_photos_stand_beside_no_notebook(drawn: dict[str, Figure]) -> None:
    Path("params.yaml").write_text("dataset: {kind: photos}\n")
    training_times.MEASURED_NOTEBOOK.unlink()
    training_times.main()
    assert list(points(drawn["time_to_accuracy.png"])) == ["fast", "final"]


@pytest.mark.usefixtures("drawn", "project")
def test_time_stays_as_first_measured_while_the_history_has_the_same_bytes() -> None:
    training_times.main()
    first = table.PATH.read_bytes()
    train("final", 1.0, "another", "one")
    training_times.main()
    assert table.PATH.read_bytes() == first
    train("final", 1.0, "another", "two")
    assert known_time("final") is None
    training_times.main()
    assert known_time("final") == (1.0, "4 cores of another")
    assert known_time("fast") == (50.0, "4 cores of P, b")


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("comparison.csv", "a,b\n1,2\n", "reports/comparison.csv"),
        ("bench/notebook.json", "{}", "reports/bench/notebook.json"),
        ("runs/train@fast.json", None, "train@fast.json"),
        ("runs/train@fast.json", "{}", "reports/runs"),
        ("variants/final/history.csv", None, "final/history.csv"),
        *(("training_times.csv", t, "git checkout") for t in ("", f"{table.HEADER}\na,b,c,-1,e")),
    ],
)
@pytest.mark.usefixtures("drawn")
def test_a_missing_or_damaged_input_is_named_and_nothing_written(
    project: Path, file: str, text: str | None, named: str
) -> None:
    path = project / "reports" / file
    path.unlink() if text is None else path.write_text(text)
    before = table.PATH.read_text()
    with pytest.raises(PipelineError, match=named):
        training_times.main()
    assert table.PATH.read_text() == before
    assert not training_times.FIGURE.exists()
