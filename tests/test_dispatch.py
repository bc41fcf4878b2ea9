"""`python -m pipeline STAGE`: checks first, then the stage, then the record of the run."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import workspace

from pipeline import __main__ as dispatch
from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.tools import memory_estimate


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace.copy_project(tmp_path_factory.mktemp("dispatch") / "project")


@pytest.fixture
def project(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without data, as the current folder."""
    folder = shutil.copytree(once, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["fecth"], "usage"),
        (["train"], "usage"),
        (["train", "final", "best"], "usage"),
        (["train", "finl"], "'final'"),
        (["train", "a/b"], r"variants\.a/b"),
        (["evaluate", "final.seed"], r"variants\.final\.seed"),
        (["preprocess"], "data/raw"),
    ],
)
def test_an_error_is_one_line_and_leaves_no_record(
    project: Path, arguments: Sequence[str], message: str
) -> None:
    with pytest.raises(PipelineError, match=message) as error:
        dispatch.main(list(arguments))
    assert "\n" not in str(error.value)
    runs = project / "reports/runs"
    assert not runs.exists() or not list(runs.iterdir())


def test_the_command_exits_with_1_and_without_traceback(project: Path) -> None:
    output = workspace.run(project, "python", "-m", "pipeline", "train", "a/b", expect=1)
    assert output.startswith("pipeline train a/b: params.yaml: variants.a/b: not found")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("params.yaml", "confidence: 0.95", "confidence: 95", r"compare\.confidence"),
        ("requirements/tensorflow.txt", "keras==", "keras==9", "pins keras"),
    ],
)
def test_parameters_and_packages_are_checked_before_any_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, message: str
) -> None:
    monkeypatch.setattr(dispatch, "run", unexpected)
    (project / file).write_text((project / file).read_text().replace(old, new, 1))
    with pytest.raises(PipelineError, match=message):
        dispatch.main(["fetch"])
    assert not (project / "data").exists()


@pytest.mark.parametrize(
    ("stage", "message"), [("fetch", "dataset.kind"), ("preprocess", "dataset.side: training on")]
)
def test_photos_are_not_fetched_and_have_to_fit_into_memory(
    project: Path, monkeypatch: pytest.MonkeyPatch, stage: str, message: str
) -> None:
    monkeypatch.setattr(dispatch, "run", unexpected)
    monkeypatch.setattr(memory_estimate, "FIXED", 2**60)
    photos = params_file.read(project / "pipeline/tools/photos_params.yaml")
    workspace.write_params(project, photos)
    for path in ("rose/a.jpg", "tulip/a.jpg"):
        (project / "data/photos" / path).parent.mkdir(parents=True)
        (project / "data/photos" / path).touch()
    with pytest.raises(PipelineError, match=message):
        dispatch.main([stage])


def unexpected(*arguments: str) -> float:
    raise AssertionError("the stage ran")


def test_an_unwritable_record_is_noticed_before_the_stage_works(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "run", unexpected)
    shutil.rmtree(project / "reports")
    (project / "reports").touch()
    with pytest.raises(PipelineError, match=r"cannot write reports/runs/train@final\.json"):
        dispatch.main(["train", "final"])


def test_a_record_adds_the_seconds_of_killed_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.train.stage.main", lambda arguments: 1000.0)
    dispatch.main(["train", "final"])
    run = json.loads((project / "reports/runs/train@final.json").read_text())
    assert 1000 <= run["seconds"] < 1100


@pytest.mark.parametrize("module", ["pipeline", "pipeline.predict", "pipeline.tools.config"])
def test_a_python_without_the_packages_is_told_what_to_do(project: Path, module: str) -> None:
    """As `.venv/bin/dvc repro` finds it where .venv is not activated."""
    output = workspace.run(project, "python", "-S", "-m", module, expect=1)  # no site-packages
    assert len(output.splitlines()) == 1
    assert "No module named" in output
    assert "`. .venv/bin/activate`" in output


def test_matplotlib_backend_of_another_program_is_ignored(project: Path) -> None:
    """With such a name the mere import of Keras fails."""
    program = (
        "import os\n"
        "from pipeline.__main__ import main\n"
        "try:\n"
        "    main(['train', 'final'])\n"
        "finally:\n"
        "    print('backend', os.environ.get('MPLBACKEND'))\n"
    )
    command = ("env", "MPLBACKEND=nonsense", "python", "-c", program)
    assert "backend None" in workspace.run(project, *command, expect=1)
