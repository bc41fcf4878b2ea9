"""Training times: which one is kept, and accuracy drawn against them."""

import json
import shutil
from pathlib import Path
from typing import Any

import made_up
import pandas as pd
import pytest
from conftest import PROJECT

from pipeline.comparison.compare import PUBLISHED
from pipeline.comparison.results import read_result
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.plotting import Figure
from pipeline.tools import environment, training_times
from pipeline.tools.training_times import FIGURE, MEASURED_NOTEBOOK


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the comparison and the results of three variants; two have times."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "requirements", "requirements")
    Path("params.yaml").write_text("dataset: {kind: cifar10}\n")
    for path in (PUBLISHED, MEASURED_NOTEBOOK):
        path.parent.mkdir(parents=True)
    shutil.copy(PROJECT / PUBLISHED, PUBLISHED)
    Path("reports/comparison.csv").write_text("variant,accuracy\nfast,0.9\nfinal,0.7\nbest,1\n")
    for variant in ("fast", "final", "best"):
        made_up.write(variant, 70)
    train("final", 120.0, "P, b")
    train("fast", 50.0, "P, b")
    seconds_per_epoch = {"baseline": 10.0, "improved": 20.0, "deep": 25.0, "final": 30.0}
    measured = {"measured": "2026-11-25, 4 cores of N, n, commit 1", "seconds": seconds_per_epoch}
    MEASURED_NOTEBOOK.write_text(json.dumps(measured))
    return tmp_path


def train(variant: str, seconds: float, processor: str) -> None:
    """Record a training on a machine of four cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "processor_name", lambda: processor)
        patch.setattr("os.cpu_count", lambda: 4)
        environment.record(f"train@{variant}", seconds)


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
    machines = "4 cores of P, b and 4 cores of N, n"
    assert machines in figure.axes[0].get_xlabel()


@pytest.mark.usefixtures("project")
def test_photos_stand_beside_no_notebook(drawn: dict[str, Figure]) -> None:
    Path("params.yaml").write_text("dataset: {kind: photos}\n")
    MEASURED_NOTEBOOK.unlink()
    training_times.main()
    assert list(points(drawn["time_to_accuracy.png"])) == ["fast", "final"]


@pytest.mark.usefixtures("project")
def test_time_stays_as_first_measured_while_the_history_has_the_same_bytes() -> None:
    first = paths.training_time("final").read_bytes()
    train("final", 1.0, "another")
    assert paths.training_time("final").read_bytes() == first
    assert environment.recorded("train@final")["seconds"] == 1.0
    history = pd.read_csv(paths.history("final"))
    history.head(2).to_csv(paths.history("final"), index=False)
    assert read_result("final").time is None
    train("final", 1.0, "another")
    assert read_result("final").time == (1.0, "4 cores of another")
    assert read_result("fast").time == (50.0, "4 cores of P, b")
    paths.training_time("fast").write_text("{")
    assert read_result("fast").time is None


@pytest.mark.parametrize(
    ("file", "text"), [("comparison.csv", "a,b\n1,2\n"), ("bench/notebook.json", "{}")]
)
@pytest.mark.usefixtures("drawn")
def test_a_damaged_input_is_named_and_nothing_written(project: Path, file: str, text: str) -> None:
    (project / "reports" / file).write_text(text)
    with pytest.raises(PipelineError, match=f"reports/{file}"):
        training_times.main()
    assert not FIGURE.exists()
