"""`make verify` where nothing can be compared, and where it is ended before it has compared."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import verifying
import workspace

from pipeline.base.errors import PipelineError
from pipeline.tools import verify

SED = "sed -i.before"  # which macOS takes, too


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            "rm dvc.lock",
            "dvc.lock of the commit: expected a complete entry for preprocess, found none",
        ),
        ("echo a: [ > dvc.lock", "entry for preprocess, found none; run `dvc repro` and commit"),
        (
            f"{SED} s/train@baseline/train@other/ dvc.lock",
            "expected a complete entry for train@baseline .*; run `dvc repro` and commit",
        ),
        (
            f"{SED} '/train@baseline:/,/params:/ s/outs:/lost:/' dvc.lock",
            "expected a complete entry for train@baseline .*; run `dvc repro` and commit",
        ),
        (
            "git rm -q reports/variants/baseline/history.csv",
            "entry for train@baseline that names the committed reports/.*/history.csv, found none",
        ),
        (
            f"{SED} s/0.5,/0.6,/ reports/variants/baseline/metrics.json",
            "entry for evaluate@baseline that names the committed reports/.*/metrics.json, found",
        ),
        ("rm -rf .git; git init -q", "expected the top folder of a git repository with a commit"),
        ("rm -rf .git", "expected the top folder of a git repository with a commit"),
    ],
)
def test_what_cannot_be_compared_is_named(verifiable: Path, damage: str, expected: str) -> None:
    workspace.run(verifiable, "sh", "-c", damage)
    if "rm -rf .git" not in damage:
        verifying.commit(verifiable)
    with pytest.raises(PipelineError, match=expected):
        verify.main(["baseline", "--full"])
    assert not verifying.temporary(verifiable)


def test_a_variant_that_the_commit_lacks_is_named(verifiable: Path) -> None:
    with pytest.raises(PipelineError, match=r"variants\.basline: not found.*mean 'baseline'"):
        verify.main(["basline", "--full"])


def test_a_stage_that_fails_is_named(verifiable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_FAILS", "train")
    place = rf"{verifiable.parent}/temporary/verify-\w+/here; .* in the variable TMPDIR"
    with pytest.raises(PipelineError, match=f"`python -m pipeline train baseline` .* {place}"):
        verify.main(["baseline", "--full"])
    assert not verifying.temporary(verifiable)


def test_no_room_for_the_copy(verifiable: Path) -> None:
    """Here for files of more than a few kB, of which git writes none."""
    said = workspace.run(
        verifiable,
        "sh",
        "-c",
        "ulimit -f 16; python -m pipeline.tools.verify baseline --full",
        expect=2,
    )
    assert said.splitlines()[-1] == (
        "verify: [Errno 27] File too large; it needs 1 GB in /tmp or TMPDIR"
    )
    assert not verifying.temporary(verifiable)


def test_without_git(verifiable: Path) -> None:
    said = workspace.run(
        verifiable,
        *("env", "PATH=/nowhere", sys.executable),
        *("-m", "pipeline.tools.verify", "baseline", "--full"),
        expect=2,
    )
    assert said == (
        "verify: cannot start git: [Errno 2] No such file or directory: 'git'; install it, then "
        "run again\n"
    )


def test_unforeseen_failure_is_no_comparison(verifiable: Path) -> None:
    """Python's own status for it is 1, which would say that the results are different ones."""
    with Path("pipeline/tools/verify_committed.py").open("a") as file:
        file.write("\n\ndef runs(*_):\n    raise RuntimeError('unforeseen')\n")
    said = workspace.run(
        verifiable, "python", "-m", "pipeline.tools.verify", "baseline", "--full", expect=2
    )
    assert "Traceback" in said
    assert said.endswith("RuntimeError: unforeseen\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["baseline", "--minutes", "0"], "--minutes: expected more than 0, found 0.0"),
        (["baseline", "--minutes", "nan"], "--minutes: expected more than 0, found nan"),
        (["baseline"], "one of the arguments --minutes --full is required"),
        (["basline", "--full"], "did you mean 'baseline'"),
    ],
)
def test_status_2_means_that_nothing_was_compared(
    verifiable: Path, arguments: list[str], expected: str
) -> None:
    command = ["python", "-m", "pipeline.tools.verify", *arguments]
    out = workspace.run(verifiable, *command, expect=2)
    assert expected in out
    assert "Traceback" not in out


def _in_training(verifiable: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A verify at work, and the training that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.tools.verify", "baseline", "--full"],
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
    assert Path(training.cwd()).parents[1] == verifiable.parent / "temporary"
    return process, training


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(
    verifiable: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("STUB_LASTING", "1")
    process, training = _in_training(verifiable)

    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert "Traceback" not in rest
    assert not training.is_running()
    assert not verifying.temporary(verifiable)


def test_kill_leaves_no_training(verifiable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_LASTING", "1")
    process, training = _in_training(verifiable)

    process.kill()
    process.communicate(timeout=30)

    training.wait(timeout=30)
