"""`make verify` where nothing can be compared, and where it is ended before it has compared."""

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import verifying
import workspace

from pipeline import verify
from pipeline.errors import PipelineError


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verifying.committed(tmp_path_factory.mktemp("verify") / "project")


@pytest.fixture
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return verifying.copied(committed, tmp_path / "project", monkeypatch)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            "rm dvc.lock",
            "dvc.lock of the commit: expected complete entries for preprocess, train@bas",
        ),
        ("echo a: [ > dvc.lock", "entries for .*, found a damaged file; run `dvc repro` and comm"),
        (
            "sed -i s/train@baseline/train@other/ dvc.lock",
            "found none for train@baseline; run `dvc repro` and commit",
        ),
        (
            "sed -i '/train@baseline:/,/params:/ s/outs:/lost:/' dvc.lock",
            "found none for train@baseline; run `dvc repro` and commit",
        ),
        (
            "git rm -q reports/baseline/history.csv",
            "in the commit, reports/baseline/history.csv: exp.* and commit",
        ),
        (
            "sed -i s/0.5,/0.6,/ reports/baseline/metrics.json",
            "^reports/baseline/metrics.json: expected in the commit what its dvc.lock names",
        ),
        ("rm -rf .git; git init -q", "expected the top folder of a git repository with a commit"),
        ("rm -rf .git", "expected the top folder of a git repository with a commit"),
    ],
)
def test_what_cannot_be_compared_is_named(project: Path, damage: str, expected: str) -> None:
    workspace.run(project, "sh", "-c", damage)
    if "rm -rf .git" not in damage:
        verifying.commit(project)
    with pytest.raises(PipelineError, match=expected):
        verify.main(["baseline", "--full"])
    assert not verifying.temporary(project)


def test_a_variant_that_the_commit_lacks_is_named(project: Path) -> None:
    with pytest.raises(PipelineError, match=r"variants\.basline: not found.*mean 'baseline'"):
        verify.main(["basline", "--full"])


def test_a_stage_that_fails_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_FAILS", "train")
    place = rf"{project.parent}/temporary/verify-\w+; .* in the variable TMPDIR"
    with pytest.raises(PipelineError, match=f"`python -m pipeline train baseline` .* {place}"):
        verify.main(["baseline", "--full"])
    assert not verifying.temporary(project)


def test_no_room_for_the_copy(project: Path) -> None:
    """Here for files of more than a few kB, of which git writes none."""
    said = workspace.run(
        project, "sh", "-c", "ulimit -f 16; python -m pipeline.verify baseline --full", expect=2
    )
    place = rf"{project.parent}/temporary/verify-\w+: File too large; free 1 GB there, or name"
    assert re.search(f"^verify: cannot copy the commit to {place}", said, re.M)
    assert not verifying.temporary(project)


def test_no_folder_for_temporary_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "missing")
    with pytest.raises(PipelineError, match=r"to a temporary folder: No such .* variable TMPDIR"):
        verify.main(["baseline", "--full"])


def test_unforeseen_failure_is_no_comparison(project: Path) -> None:
    """Python's own status for it is 1, which would say that the results are different ones."""
    with Path("pipeline/verify_workspace.py").open("a") as file:
        file.write("\n\ndef uncommitted(project):\n    raise RuntimeError('unforeseen')\n")
    said = workspace.run(project, "python", "-m", "pipeline.verify", "baseline", "--full", expect=2)
    assert "Traceback" in said
    assert said.endswith("RuntimeError: unforeseen\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["baseline", "--minutes", "0"], "--minutes: expected more than 0, found 0.0"),
        (["baseline", "--minutes", "nan"], "--minutes: expected more than 0, found nan"),
        (["baseline"], "one of the arguments --minutes --full is required"),
        (["--full"], "VARIANT"),
        (["basline", "--full"], "did you mean 'baseline'"),
    ],
)
def test_status_2_means_that_nothing_was_compared(
    project: Path, arguments: list[str], expected: str
) -> None:
    command = ["python", "-m", "pipeline.verify", *arguments]
    out = workspace.run(project, *command, expect=2)
    assert expected in out
    assert "Traceback" not in out


def _in_training(project: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A verify at work, and the training that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.verify", "baseline", "--full"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Under nohup the tests ignore it, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    assert process.stdout
    while "stub train" not in process.stdout.readline():
        assert process.poll() is None
    (training,) = psutil.Process(process.pid).children()
    assert Path(training.cwd()).parent == project.parent / "temporary"
    return process, training


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("STUB_LASTING", "1")
    process, training = _in_training(project)

    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert "Traceback" not in rest
    assert not training.is_running()
    assert not verifying.temporary(project)


def test_kill_leaves_no_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_LASTING", "1")
    process, training = _in_training(project)

    process.kill()
    process.communicate(timeout=30)

    training.wait(timeout=30)
