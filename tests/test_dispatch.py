"""`python -m pipeline STAGE`: checks first, then the stage, then the record of the run."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import workspace

from pipeline import __main__ as dispatch
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.tools import new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without data, as the current folder."""
    workspace.copy_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_stage_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> float:
        raise AssertionError("the stage ran")

    monkeypatch.setattr(dispatch, "run", run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["fecth"], "usage"),
        (["train"], "usage"),
        (["train", "final", "best"], "usage"),
        (["train", "finl"], "'final'"),
        (["train", "a/b"], r"variants\.a/b"),
        (["preprocess"], "data/raw"),
    ],
)
def test_an_error_is_one_line_and_leaves_no_record(
    project: Path, arguments: Sequence[str], message: str
) -> None:
    with pytest.raises(PipelineError, match=message) as error:
        dispatch.main(list(arguments))
    assert "\n" not in str(error.value)
    assert not list(project.glob("reports/runs/*"))


def test_the_command_exits_with_1_and_without_traceback(project: Path) -> None:
    output = workspace.run(project, "python", "-m", "pipeline", "train", "a/b", expect=1)
    assert output.startswith("pipeline train a/b: params.yaml: variants.a/b: ")
    assert len(output.splitlines()) == 1


@pytest.mark.usefixtures("no_stage_runs")
@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("params.yaml", "confidence_level: 0", "confidence_level: 9", r"compare\.confidence_level"),
        ("requirements/tensorflow.txt", "keras==", "keras==9", "keras"),
    ],
)
def test_parameters_and_packages_are_checked_before_any_stage(
    project: Path, file: str, old: str, new: str, message: str
) -> None:
    (project / file).write_text((project / file).read_text().replace(old, new, 1))
    with pytest.raises(PipelineError, match=message):
        dispatch.main(["fetch"])


@pytest.mark.usefixtures("no_stage_runs")
def test_photos_are_not_fetched(project: Path) -> None:
    params = new_project.from_template(read_params(project / "params.yaml"))
    params["page"]["variant"] = "best"
    (project / "params.yaml").write_text(json.dumps(params))
    with pytest.raises(PipelineError, match=r"dataset\.kind"):
        dispatch.main(["fetch"])


@pytest.mark.usefixtures("no_stage_runs")
def test_an_unwritable_record_is_noticed_before_the_stage_works(project: Path) -> None:
    shutil.rmtree(project / "reports")
    (project / "reports").touch()
    with pytest.raises(PipelineError, match=r"reports/runs/train@final\.json"):
        dispatch.main(["train", "final"])


def test_a_record_adds_the_seconds_of_killed_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.train.main", lambda arguments: 1000.0)
    dispatch.main(["train", "final"])
    run = json.loads((project / "reports/runs/train@final.json").read_text())
    assert 1000 <= run["seconds"] < 1100


@pytest.mark.parametrize("module", ["pipeline", "pipeline.predict"])
def test_a_python_without_the_packages_explains_itself(project: Path, module: str) -> None:
    """As `.venv/bin/dvc repro` finds it where .venv is not activated."""
    output = workspace.run(project, "python", "-S", "-m", module, expect=1)  # no site-packages
    assert len(output.splitlines()) == 1
    assert "activate" in output


def test_matplotlib_backend_of_another_program_is_ignored(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a name that matplotlib does not know the mere import of Keras fails."""
    backends: list[str | None] = []
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    monkeypatch.setattr(
        "pipeline.training.train.main",
        lambda arguments: backends.append(os.environ.get("MPLBACKEND")),
    )
    dispatch.main(["train", "final"])
    assert backends == [None]
