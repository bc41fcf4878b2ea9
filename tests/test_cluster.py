"""Stages side by side through the real DVC, in a small pipeline of shell commands."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import workspace
from conftest import PROJECT
from dvc import lock
from dvc.repo import Repo, lock_repo
from processes import left_in, running_in

from pipeline.cluster import jobs
from pipeline.cluster import lock as entries
from pipeline.cluster.jobs import Children, Job
from pipeline.tools.plan_stages import Plan, StagePlan, Status

# The first variant is the slowest, so that the order of ending is not the order of dvc.yaml.
DVC_YAML = """
stages:
  prepare:
    cmd: cp source.txt data.txt
    deps: [source.txt]
    outs: [data.txt]
  train:
    foreach: ${variants}
    do:
      cmd: sh train.sh ${key} ${item.seconds}
      deps: [data.txt]
      params: ["variants.${key}"]
      outs: ["${key}.txt"]
  compare:
    cmd: cat slow.txt quick.txt > table.txt
    deps: [slow.txt, quick.txt]
    outs: [table.txt]
"""
PARAMS = "variants:\n  slow: {seconds: 2}\n  quick: {seconds: 0}\n"
TRAIN = """
test -e broken-$1 && { echo no memory for $1; exit 3; }
touch begun-$1
sleep $2 && cat data.txt > $1.txt
"""
# Each waits for the other: `quick` until both run, `slow` until the entry of `quick` is written.
# Run one after another, the first waits in vain.
MEETING = """
touch begun-$1
for attempt in $(seq 300); do
  case $1 in
    quick) test -e begun-slow;;
    slow) grep -qs train@quick dvc.lock;;
  esac && exec cp data.txt $1.txt
  sleep 0.1
done
exit 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    Repo.init(no_scm=True).close()
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("params.yaml").write_text(PARAMS)
    Path("train.sh").write_text(TRAIN)
    Path("source.txt").write_text("pixels\n")
    return root


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cluster", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup the tests ignore it, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def _parallel(*arguments: str) -> tuple[int, str, str]:
    process = _start(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_side_by_side_and_the_lock_of_a_sequential_run(project: Path) -> None:
    Path("train.sh").write_text(MEETING)

    code, out, err = _parallel("--jobs", "2")

    assert code == 0, err
    assert "train@slow  started, log in logs/train@slow.log" in out
    assert "compare  done" in out
    side_by_side = Path("dvc.lock").read_bytes()
    Path("dvc.lock").unlink()
    shutil.rmtree(".dvc/cache")
    Path("train.sh").write_text(TRAIN)
    with Repo() as repo:
        repo.reproduce()
    assert Path("dvc.lock").read_bytes() == side_by_side


@pytest.mark.slow
def test_the_lock_of_the_whole_pipeline_is_that_of_a_sequential_run(tmp_path: Path) -> None:
    sequential, parallel = (
        workspace.with_stub_stages(workspace.copy_project(tmp_path / name))
        for name in ("sequential", "parallel")
    )
    workspace.run(sequential, "dvc", "repro")
    workspace.run(parallel, "python", "-m", "pipeline.cluster", "--jobs", "2")
    assert sorted((parallel / "ran.txt").read_text().split()) == sorted(
        (sequential / "ran.txt").read_text().split()
    )
    assert (parallel / "dvc.lock").read_bytes() == (sequential / "dvc.lock").read_bytes()


PLAN = Plan(
    tuple(
        StagePlan(name, Status.WILL_RUN, (), None, None, (), "") for name in ("one", "two", "three")
    )
)


def _entries(*names: str) -> str:
    return "\n".join(
        ["schema: '2.0'", "stages:", *(f"  {name}:\n    cmd: run" for name in names), ""]
    )


def _added(names: Sequence[str]) -> None:
    """Write entries as stages would, within a run, that ended in this order."""
    with entries.ordered(PLAN):
        Path("dvc.lock").write_text(_entries(*names))


def test_the_entries_wait_for_another_dvc(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "DEFAULT_TIMEOUT", 0.1)  # seconds to wait when not told to
    disorder = ["three", "one", "two"]
    with ThreadPoolExecutor(1) as pool:
        with Repo() as other, lock_repo(other):
            waiting = pool.submit(_added, disorder)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            assert Path("dvc.lock").read_text() == _entries(*disorder)
        waiting.result(timeout=60)
    assert Path("dvc.lock").read_text() == _entries("one", "two", "three")


def test_a_signal_is_not_held_up_by_another_dvc(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "DEFAULT_TIMEOUT", 0.1)
    with (
        Repo() as other,
        lock_repo(other),
        pytest.raises(SystemExit, match="130"),
        entries.ordered(PLAN),
    ):
        raise SystemExit(130)
    assert "dvc.lock: another dvc holds DVC's lock; the stages" in capsys.readouterr().err


def test_a_failure_stops_only_what_is_behind_it(project: Path) -> None:
    Path("broken-quick").touch()

    code, out, err = _parallel("--jobs", "2")

    assert code == 1
    assert "train@slow  done" in out
    assert "train@quick  failed, see logs/train@quick.log" in out
    assert "compare" not in out
    assert "train@quick failed; the end of logs/train@quick.log:\n" in err
    assert "  no memory for quick\n" in err
    assert "train@slow" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_process(project: Path, number: signal.Signals) -> None:
    Path("params.yaml").write_text(PARAMS.replace("2", "60").replace("0}", "60}"))
    Path("data.txt").write_text("pixels\n")
    with Repo() as repo:
        repo.reproduce("prepare")
    process = _start("--jobs", "2")
    deadline = time.monotonic() + 120  # two where the machine is idle
    while not (Path("begun-slow").exists() and Path("begun-quick").exists()):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert left_in(project) == []
    assert not Path("slow.txt").exists()
    with Repo() as repo:  # no lock is left behind
        repo.status()


def test_nothing_to_do_starts_no_stage(project: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("2", "0"))
    with Repo() as repo:
        repo.reproduce()

    code, out, err = _parallel("--jobs", "2")

    assert (code, out, err) == (0, "everything is up to date\n", "")
    assert not Path("logs").exists()


def test_who_ignores_the_interrupt_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "GRACE_SECONDS", 0.2)
    monkeypatch.chdir(tmp_path)
    children = Children()
    stubborn = ["sh", "-c", "trap '' INT; sh -c 'touch ready; sleep 60'; sleep 60"]
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(children.run, stubborn)
        while not Path("ready").exists():
            time.sleep(0.01)
        assert running_in(tmp_path)

        children.end()

        assert ended.result(timeout=5) == -signal.SIGKILL
    assert left_in(tmp_path) == []
    assert children.run(["touch", "late"]) != 0
    assert not Path("late").exists()


def test_only_the_stages_named_and_what_they_need(project: Path) -> None:
    code, _, err = _parallel("--jobs", "2", "train@quick")

    assert code == 0, err
    assert sorted(path.name for path in Path("logs").iterdir()) == [
        "prepare.log",
        "train@quick.log",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--jobs", "0"], "argument --jobs: expected 1 or more, found 0"),
        (["--jobs", "2", "train@absent"], "train@absent"),
    ],
)
def test_mistakes_are_named(project: Path, arguments: list[str], expected: str) -> None:
    code, _, err = _parallel(*arguments)

    assert code != 0
    assert expected in err
    assert "Traceback" not in err


def test_progress_is_the_last_state_of_the_last_line(project: Path) -> None:
    job = Job("train@quick")
    assert job.progress() == ""
    job.log.parent.mkdir()
    job.log.write_text("begin\n\ntrain@quick  epoch 1/2\rtrain@quick  epoch 2/2  0.71\n\n")

    assert job.progress() == "epoch 2/2  0.71"
    assert job.tail(2) == ["train@quick  epoch 1/2", "train@quick  epoch 2/2  0.71"]
