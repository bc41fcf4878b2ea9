"""`python -m pipeline STAGE`: checks first, then the stage, then the record of the run."""

import json
import platform
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import workspace
from conftest import PROJECT

from pipeline import __main__ as dispatch
from pipeline.base.errors import PipelineError
from pipeline.tools import environment, lockfile, memory, processor, speeds


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace.copy_project(tmp_path_factory.mktemp("dispatch") / "project")


@pytest.mark.parametrize("arguments", [[], ["fecth"], ["plan"]])
def test_only_stages_of_dvc_yaml_are_run(project: Path, arguments: list[str]) -> None:
    said = workspace.run(project, "python", "-m", "pipeline", *arguments, expect=1)
    stages = "{fetch,preprocess,explore,train,evaluate,compare,page}"
    assert said.endswith(f": usage: python -m pipeline {stages} [ARGUMENTS]\n")


def test_error_is_one_line_without_traceback_and_leaves_no_record(project: Path) -> None:
    said = workspace.run(project, "python", "-m", "pipeline", "preprocess", expect=1)
    assert said.startswith("pipeline preprocess: ")
    assert len(said.splitlines()) == 1
    assert not list((project / "reports/runs").iterdir())


def test_library_other_than_pinned_is_refused(project: Path) -> None:
    pin = project / "requirements/tensorflow.txt"
    kept = pin.read_text()
    pin.write_text(kept.replace("keras==", "keras==9"))
    try:
        said = workspace.run(project, "python", "-m", "pipeline", "explore", expect=1)
    finally:
        pin.write_text(kept)
    assert "requirements/tensorflow.txt pins keras 93" in said
    assert "run `make setup`" in said


@pytest.mark.parametrize("name", ["KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"])
def test_variable_that_would_cut_trainings_short_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    said = workspace.run(project, "python", "-m", "pipeline", "train", "final", expect=1)
    assert f"the environment has {name}=1" in said
    assert f"`unset {name}`" in said


@pytest.mark.parametrize("module", ["pipeline", "pipeline.predict"])
def test_python_of_somebody_else_is_told_what_to_do(project: Path, module: str) -> None:
    """As `.venv/bin/dvc repro` finds it where .venv is not activated."""
    bare = ("python", "-S", "-m", module)  # without site-packages
    said = workspace.run(project, *bare, expect=1)
    assert len(said.splitlines()) == 1
    assert "No module named" in said
    assert "`make setup` once, then `. .venv/bin/activate`" in said


@pytest.mark.parametrize("module", ["pipeline", "pipeline.predict"])
def test_backend_of_another_program_is_not_heeded(project: Path, module: str) -> None:
    """With such a name the mere import of Keras fails."""
    stage = {"pipeline": ["train", "final"], "pipeline.predict": ["photo.png"]}[module]
    program = (
        "import importlib, os\n"
        f"main = importlib.import_module('{module}.__main__').main\n"
        "try:\n"
        f"    main({stage})\n"
        "finally:\n"
        "    print('found', os.environ.get('MPLBACKEND'))\n"
    )
    command = ("env", "MPLBACKEND=nonsense", "python", "-c", program)
    assert "found None" in workspace.run(project, *command, expect=1)


@pytest.mark.parametrize("variant", ["baseline", "fast"])
def test_what_would_be_quicker_is_said_before_a_training(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variant: str,
) -> None:
    network = {"baseline": "plain", "fast": "whitened"}[variant]
    quicker = speeds.Speed("any", "avx2", network, "float32", "AVX512_CORE", 1.5)
    monkeypatch.setattr(speeds, "SPEEDS", (quicker,))
    monkeypatch.setattr(memory, "warning", lambda: None)
    monkeypatch.setattr(processor, "vendor", lambda: "any")
    monkeypatch.setattr(processor, "flags", lambda: {"avx2"})
    monkeypatch.chdir(project)
    with pytest.raises(PipelineError, match=r"train\.npz"):  # there is no data
        dispatch.main(["train", variant])
    kind = {"baseline": "study", "fast": "own"}[variant]
    assert f"1.5 times as fast, to other bytes, by arithmetic.{kind}." in capsys.readouterr().out
    other = {"baseline": "fast", "fast": "baseline"}[variant]
    with pytest.raises(PipelineError, match=r"train\.npz"):
        dispatch.main(["train", other])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "arm64"])
def test_other_bytes_of_another_kind_of_processor_are_told_once(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    machine: str,
) -> None:
    """At the end, by the one stage that every run of the pipeline has once."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setitem(dispatch.STAGES, "compare", "stand_in")
    monkeypatch.setitem(sys.modules, "stand_in", SimpleNamespace(main=lambda arguments: None))
    monkeypatch.setattr(lockfile, "check_evaluated", lambda variants: None)
    monkeypatch.chdir(project)
    dispatch.main(["compare"])
    said = capsys.readouterr().out
    assert ("trained on arm64: models have other bytes than the committed" in said) == (
        machine == "arm64"
    )
    (project / environment.path("compare")).unlink()


def test_pins_name_every_library_that_decides_bytes() -> None:
    assert set(environment.pins()) >= {"numpy", "tensorflow", "keras", "matplotlib", "pandas"}


def test_run_is_recorded_only_when_it_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(arguments: list[str]) -> float:
        raise PipelineError("no")

    def yes(arguments: list[str]) -> float:
        return 1000.0  # seconds, of a training that was killed before

    monkeypatch.setattr(environment, "PINS", tuple(PROJECT / path for path in environment.PINS))
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.train.stage.main", yes)
    dispatch.main(["train", "good"])
    monkeypatch.setattr("pipeline.train.stage.main", no)
    with pytest.raises(PipelineError):
        dispatch.main(["train", "bad"])
    assert [path.name for path in (tmp_path / "reports/runs").iterdir()] == ["train@good.json"]
    run = json.loads((tmp_path / "reports/runs/train@good.json").read_text())
    assert run["seconds"] >= 1000
    assert run["libraries"]["keras"] == environment.pins()["keras"][0]
    assert str(tmp_path) not in json.dumps(run)


def test_record_that_cannot_be_written_is_noticed_before_the_stage_works(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(arguments: list[str]) -> float:
        raise AssertionError("half an hour later would be too late")

    monkeypatch.setattr("pipeline.train.stage.main", no)
    folder = shutil.copytree(project, tmp_path / "project")
    shutil.rmtree(folder / "reports")
    (folder / "reports").touch()
    monkeypatch.chdir(folder)
    with pytest.raises(PipelineError, match=r"cannot write reports/runs/train@final\.json"):
        dispatch.main(["train", "final"])
