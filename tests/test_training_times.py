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
from pipeline.plotting import Figure
from pipeline.tools import environment, training_times
from pipeline.tools.training_times import MEASURED_NOTEBOOK


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


def points(figure: Figure) -> dict[str, dict[str, tuple[float, float]]]:
    """Minutes and accuracy by the name beside them, of the pipeline and of the notebook."""
    (axis,) = figure.axes
    lines: Any = axis.lines
    texts: Any = axis.texts
    names = {text.xy: text.get_text() for text in texts}
    return {line.get_label(): {names[x, y]: (x, y) for x, y in line.get_xydata()} for line in lines}


@pytest.mark.usefixtures("project")
def test_each_variant_and_the_notebook_s_are_a_point(drawn: dict[str, Figure]) -> None:
    training_times.main()
    figure = drawn["time_to_accuracy.png"]
    notebook = {
        "baseline": (5, 0.6005),
        "improved": (10, 0.6388),
        "deep": (12.5, 0.699),
        "final": (15, 0.7143),
    }
    pipeline = {"fast": (50 / 60, 0.9), "final": (2, 0.7)}
    assert points(figure) == {"notebook": notebook, "pipeline": pipeline}
    machines = "4 cores of P, b and 4 cores of N, n"
    assert machines in figure.axes[0].get_xlabel()


@pytest.mark.usefixtures("project")
def test_photos_stand_beside_no_notebook(drawn: dict[str, Figure]) -> None:
    Path("params.yaml").write_text("dataset: {kind: photos}\n")
    MEASURED_NOTEBOOK.unlink()
    training_times.main()
    assert points(drawn["time_to_accuracy.png"]).keys() == {"pipeline"}


@pytest.mark.usefixtures("project")
def test_time_stays_as_first_measured_while_the_history_has_the_same_bytes() -> None:
    first = paths.training_time("final").read_bytes()
    train("final", 1.0, "another")
    assert paths.training_time("final").read_bytes() == first
    assert environment.read_record(environment.path("train@final"))["seconds"] == 1.0
    history = pd.read_csv(paths.history("final"))
    history.head(2).to_csv(paths.history("final"), index=False)
    assert read_result("final").time is None
    train("final", 1.0, "another")
    assert read_result("final").time == (1.0, "4 cores of another")
    assert read_result("fast").time == (50.0, "4 cores of P, b")
    paths.training_time("fast").write_text("{")
    assert read_result("fast").time is None
