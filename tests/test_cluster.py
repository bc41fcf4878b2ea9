"""Stages side by side on this machine, by the real DVC, in a small pipeline of shell commands."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import workspace
from conftest import PROJECT
from distributed import Client, Future
from dvc import lock as dvc_lock
from dvc.repo import Repo, lock_repo
from processes import left_in

from pipeline.cluster import local, lock, schedule, worker
from pipeline.tools import memory_estimate
from pipeline.tools.plan import PlannedStage

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


def _run(*arguments: str) -> tuple[int, str, str]:
    process = _start(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120  # two where the machine is idle
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_side_by_side_and_the_lock_of_a_sequential_run(project: Path) -> None:
    Path("train.sh").write_text(MEETING)
    code, out, err = _run("--jobs", "2")

    assert (code, err) == (0, "")
    starts = [line.split()[0] for line in out.splitlines() if "started" in line]
    assert starts == ["prepare", "train@slow", "train@quick", "compare"]
    assert [line.rpartition(", ")[2] for line in out.splitlines() if "ended" in line] == [
        f"{number} left" for number in (3, 2, 1, 0)
    ]
    parallel = Path("dvc.lock").read_bytes()
    Path("dvc.lock").unlink()
    shutil.rmtree(".dvc/cache")
    Path("train.sh").write_text(TRAIN)
    with Repo() as repo:
        repo.reproduce()
    assert Path("dvc.lock").read_bytes() == parallel
    assert _run("--jobs", "2") == (0, "everything is up to date\n", "")


def test_only_the_stages_named_and_what_they_need(project: Path) -> None:
    code, _, err = _run("--jobs", "2", "train@quick")
    assert code == 0, err
    assert {path.stem for path in Path("logs").iterdir()} == {"prepare", "train@quick"}


def test_a_failure_stops_only_what_is_behind_it(project: Path) -> None:
    Path("broken-quick").touch()
    code, out, _ = _run("--jobs", "2")

    assert code == 1
    assert "train@slow  ended" in out
    assert "train@quick  failed" in out
    assert "\n  no memory for quick\n" in out
    assert out.endswith("not started: compare\n")
    assert "train@slow" not in Path("dvc.lock").read_text().partition("train@quick")[2]


def test_the_longest_first_and_again_where_a_worker_returned_it(project: Path) -> None:
    seconds = {"short": 1.0, "long": 9.0, "unknown": None}
    stages = [PlannedStage(name, (), (), taken) for name, taken in seconds.items()]
    stages.append(PlannedStage("behind", ("unknown", "long"), (), 5.0))
    submitted: list[str] = []

    def collect(results: Mapping[str, Any]) -> Mapping[str, bool | None]:
        return {name: None if len(submitted) == 1 else name != "long" for name in results}

    with Client(processes=False, dashboard_address="127.0.0.1:0") as client:

        def submit(stage: PlannedStage) -> Future[Any]:
            submitted.append(stage.name)
            return client.submit(dict, pure=False)

        backend = schedule.Backend(lambda: 1, submit, collect)
        failed, not_started = schedule.run_stages(stages, backend)
    assert submitted == ["unknown", "unknown", "long", "short"]
    assert (failed, not_started) == (["long"], ["behind"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_no_process(project: Path, number: signal.Signals) -> None:
    Path("params.yaml").write_text(PARAMS.replace("2", "60").replace("0}", "60}"))
    process = _start("--jobs", "2")
    _wait_until(lambda: Path("begun-slow").exists() and Path("begun-quick").exists())

    process.send_signal(number)
    out, _ = process.communicate(timeout=30)

    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number)
    assert killed or out.endswith("interrupted: 1 stages ended and are recorded, 3 left\n")
    assert left_in(project) == []
    assert not Path("slow.txt").exists()
    assert "prepare:" in Path("dvc.lock").read_text()
    with Repo() as repo:  # no lock is left behind
        repo.status()


def test_a_process_that_ignores_the_interrupt_is_killed(tmp_path: Path) -> None:
    stubborn = "trap '' INT; sh -c 'touch ready; sleep 60'; sleep 60"

    def poll() -> None:
        if (tmp_path / "ready").exists():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        worker.run_process("sh", "-c", stubborn, folder=tmp_path, poll=poll)
    assert left_in(tmp_path) == []


def test_jobs_are_limited_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = memory_estimate.LARGEST_TRAINING
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: int(2.5 * needed))
    with local.local_backend(3) as backend:
        assert backend.slots() == 2
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: 0)
    with local.local_backend(3) as backend:
        assert backend.slots() == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "2", "train@absent"], "train@absent"),
        (["--scheduler", "tcp://host.example.org:8786"], "PLAIN=1"),
        (["--scheduler", "host.example.org:8786"], "tls://"),
    ],
)
def test_mistakes_are_named(project: Path, arguments: list[str], expected: str) -> None:
    code, _, err = _run(*arguments)
    assert code != 0
    assert expected in err
    assert "Traceback" not in err


NAMES = ("one", "two", "three")


def _entries(*names: str) -> str:
    return "\n".join(
        ["schema: '2.0'", "stages:", *(f"  {name}:\n    cmd: run" for name in names), ""]
    )


def _write_entries(body: Callable[[], None] = lambda: None) -> None:
    with lock.in_plan_order(NAMES):
        Path("dvc.lock").write_text(_entries("old", "three", "one", "two"))
        body()


def test_entries_are_sorted_once_another_dvc_has_ended(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc_lock, "DEFAULT_TIMEOUT", 0.1)  # seconds to wait when not told to
    Path("dvc.lock").write_text(_entries("old"))
    with ThreadPoolExecutor(1) as pool:
        with Repo() as other, lock_repo(other):
            waiting = pool.submit(_write_entries)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
        waiting.result(timeout=60)
    assert Path("dvc.lock").read_text() == _entries("old", *NAMES)


def test_an_exception_sorts_entries_but_waits_for_no_other_dvc(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc_lock, "DEFAULT_TIMEOUT", 0.1)

    def interrupt() -> None:
        raise SystemExit(130)

    with Repo() as other, lock_repo(other), pytest.raises(SystemExit):
        _write_entries(interrupt)
    Path("dvc.lock").write_text(_entries("old"))
    with pytest.raises(SystemExit):
        _write_entries(interrupt)
    assert Path("dvc.lock").read_text() == _entries("old", *NAMES)


@pytest.mark.slow
def test_the_lock_of_the_whole_pipeline_is_that_of_a_sequential_run(tmp_path: Path) -> None:
    sequential, parallel = (
        workspace.with_stub_stages(workspace.copy_project(tmp_path / name))
        for name in ("sequential", "parallel")
    )
    workspace.run(sequential, "dvc", "repro")
    workspace.run(parallel, "python", "-m", "pipeline.cluster", "--jobs", "2")
    ran = [sorted((at / "ran.txt").read_text().split()) for at in (sequential, parallel)]
    assert ran[0] == ran[1]
    assert (parallel / "dvc.lock").read_bytes() == (sequential / "dvc.lock").read_bytes()
