"""`python -m pipeline STAGE`: checks first, then the stage, then the record of the run."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import workspace

from pipeline import __main__ as dispatch
from pipeline.core import files, paths
from pipeline.core.errors import PipelineError


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
        (["evaluate", "final", "best"], "usage"),
        (["train", "finl"], "final"),
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
def test_an_unwritable_record_is_noticed_before_the_stage_works(project: Path) -> None:
    (project / "reports").touch()
    with pytest.raises(PipelineError, match=r"reports/runs/train@final\.json"):
        dispatch.main(["train", "final"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-m pipeline train a/b", "pipeline train a/b: params.yaml: variants.a/b: "),
        # As where .venv is not activated: without site-packages.
        ("-S -m pipeline", "`make setup`"),
        ("-S -m pipeline.predict", "`make setup`"),
    ],
)
def test_the_command_exits_with_1_and_without_traceback(
    project: Path, arguments: str, message: str
) -> None:
    output = workspace.run(project, "python", *arguments.split(), expect=1)
    assert message in output
    assert len(output.splitlines()) == 1


def test_a_record_adds_the_seconds_of_killed_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a backend of matplotlib, by which the mere import of Keras may fail, is ignored."""

    def train(arguments: list[str]) -> float:
        assert (arguments, os.environ.get("MPLBACKEND")) == (["final"], None)
        files.write_text(paths.history("final"), "epoch")
        return 1000.0

    monkeypatch.setenv("MPLBACKEND", "nonsense")
    monkeypatch.setattr("pipeline.training.train.main", train)
    dispatch.main(["train", "final"])
    run = json.loads((project / "reports/runs/train@final.json").read_text())
    assert 1000 <= run["seconds"] < 1100
