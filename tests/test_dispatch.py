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


@pytest.mark.parametrize(
    ("shell", "message"),
    [
        ("sed -i.before 's/confidence_level: 0/&9/' params.yaml", r"compare\.confidence_level"),
        ("sed -i.before s/keras==/keras==9/ requirements/tensorflow.txt", "keras"),
        ("touch reports", r"reports/runs/train@final\.json"),
    ],
)
def test_mistakes_are_noticed_before_any_stage_works(
    project: Path, monkeypatch: pytest.MonkeyPatch, shell: str, message: str
) -> None:
    monkeypatch.setattr(dispatch, "STAGES", {"train": "a.stage.that.ran"})
    workspace.run(project, "sh", "-c", shell)
    with pytest.raises(PipelineError, match=message):
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
