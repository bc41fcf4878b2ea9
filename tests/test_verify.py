"""`make verify` on small repositories with committed results of stub stages."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import workspace
from conftest import PROJECT

from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.tools import new_project, verify

BASELINE = ("python", "-m", "pipeline.tools.verify", "baseline")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with committed results of stub stages; tests work on copies."""
    folder = workspace.copy_project(tmp_path_factory.mktemp("verify") / "project")
    workspace.with_stub_stages(folder, "baseline", "fast")
    workspace.run(folder, "dvc", "repro", "evaluate@baseline", "evaluate@fast")
    shutil.rmtree(folder / ".dvc/cache")
    (folder / "ran.txt").unlink()
    return workspace.commit(folder)


@pytest.fixture
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, as the current folder; temporary folders are made beside it."""
    folder = shutil.copytree(committed, tmp_path / "project")
    monkeypatch.chdir(folder)
    temporary_beside(folder, monkeypatch)
    return folder


def temporary_beside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project.with_name("temporary")
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR again


def temporary(project: Path) -> list[Path]:
    """What is left in that folder."""
    return list(project.with_name("temporary").iterdir())


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """The time and the bytes of every file below `folder`, less what Python compiles."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _result(output: str, variant: str = "baseline") -> str:
    (line,) = re.findall(rf"^verify: {variant}: (.*)$", output, re.M)
    return line


@pytest.mark.parametrize(("arguments", "downloads"), [([], True), (["baseline"], False)])
def test_same_bytes(
    project: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], downloads: bool
) -> None:
    if downloads:
        shutil.rmtree("data/raw")
    Path("params.yaml").write_text("not committed")
    Path("new.py").touch()
    before = content(project)
    assert verify.main(arguments) == 0
    out = capfd.readouterr().out
    assert _result(out) == "same bytes"
    assert " M params.yaml\n?? new.py\n" in out
    assert ("stub fetch downloads" in out) is downloads, "the project's raw data are taken"
    assert content(project) == before
    assert not temporary(project)


@pytest.mark.parametrize(
    ("variable", "value", "first"),
    [
        ("STUB_DRIFT", "other sums", "models/baseline.keras"),
        ("STUB_OMITS", "classes.csv", "reports/variants/baseline/classes.csv"),
    ],
)
def test_first_difference_and_accuracies(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, first: str
) -> None:
    monkeypatch.setenv(variable, value)
    out = workspace.run(project, *BASELINE, expect=1)
    assert _result(out) == f"other bytes, first in {first}"
    ((before, after),) = re.findall(r"accuracy of baseline: (\S+) committed, (\S+) new", out)
    assert (before == after) is (variable == "STUB_OMITS")
    assert not temporary(project)


@pytest.mark.parametrize("arguments", [["fast", "baseline"], ["all"]])
def test_one_variant_of_several_differs(
    project: Path, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    lock = Path("dvc.lock").read_text()
    history = r"(reports/variants/fast/history.csv\n +hash: md5\n +md5: )\w+"
    Path("dvc.lock").write_text(re.sub(history, rf"\g<1>{'0' * 32}", lock))
    workspace.commit(project)
    assert verify.main(arguments) == 1
    out = capfd.readouterr().out
    assert _result(out) == "same bytes"
    assert _result(out, "fast") == "other bytes, first in reports/variants/fast/history.csv"
    assert out.count("stub preprocess") == 1


def test_other_data_and_photos(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    of_photos = read_params(PROJECT / "pipeline/tools/photos_params.yaml")["dataset"]
    params = workspace.read_params(project) | {"dataset": of_photos | {"seed": 2}}
    workspace.write_params(project, params)
    workspace.commit(project)
    Path("data/photos").mkdir()
    Path("data/photos/1.jpg").touch()
    assert verify.main(["baseline"]) == 1
    out = capfd.readouterr().out
    assert _result(out).startswith("other bytes, first in data/processed/")
    assert "missing data/photos" not in out
    assert "stub fetch" not in out


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("sed -i.before s/train@baseline/train@other/ dvc.lock", "entry of train@baseline"),
        ("git rm -q reports/variants/baseline/metrics.json", "baseline/metrics.json"),
        ("sed -i.before 's/^  baseline:/  other:/' params.yaml", r"variants\.baseline"),
        ("rm -rf .git; git init -q", "git init"),
    ],
)
def test_what_cannot_be_compared_is_named(project: Path, damage: str, expected: str) -> None:
    workspace.run(project, "sh", "-c", damage)
    if ".git" not in damage:
        workspace.commit(project)
    with pytest.raises(PipelineError, match=expected):
        verify.main(["baseline"])
    assert not temporary(project)


def test_a_stage_that_fails_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_FAILS", "train")
    output = workspace.run(project, *BASELINE, expect=1)
    assert "verify: `python -m pipeline train baseline` failed" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_training(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("STUB_SECONDS", "3600")
    with subprocess.Popen(
        [sys.executable, *BASELINE[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        while "stub train" not in process.stdout.readline():
            assert process.poll() is None
        (training,) = psutil.Process(process.pid).children()
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    training.wait(timeout=30)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "Traceback" not in rest
        assert not temporary(project)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_stages_on_the_real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.run(PROJECT, "python", "-c", "from pipeline.datasets import fetch; fetch.main([])")
    folder = workspace.copy_project(tmp_path / "project")
    temporary_beside(folder, monkeypatch)
    workspace.write_params(folder, new_project.quick_params(workspace.read_params(PROJECT)))
    shutil.copytree(PROJECT / "data/raw", folder / "data/raw")
    workspace.run(folder, "dvc", "repro", "evaluate@baseline")
    workspace.commit(folder)
    assert _result(workspace.run(folder, *BASELINE)) == "same bytes"
    assert not temporary(folder)
