"""A stage whose DVC is gone ends, however it was started; every other process is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import PROJECT

from pipeline.tools import lifeline

STAGE = """
import sys, time
from pathlib import Path
from pipeline.tools import lifeline
lifeline.watch()
Path("started").touch()
try:
    for _ in range(50):
        time.sleep(0.1)
    print("worked on", flush=True)
finally:
    print("tidied up", flush=True)
"""

# Python has just started when its DVC is killed.
LATE_STAGE = """
import time
from pathlib import Path
from pipeline.tools import lifeline
Path("started").touch()
while not Path("killed").exists():
    time.sleep(0.05)
lifeline.watch()
print("worked on", flush=True)
"""

# What a destructor does to an exception that a signal raises in it.
DEAF_STAGE = """
import time
from pathlib import Path
from pipeline.tools import lifeline
lifeline.GRACE_SECONDS = 1
lifeline.watch()
Path("started").touch()
try:
    time.sleep(60)
except SystemExit:
    time.sleep(60)
print("worked on", flush=True)
"""

# As DVC starts a stage: by a shell, with DVC_STAGE in its environment.
DVC = """
import os, subprocess, sys
subprocess.run(sys.argv[1], shell=True, env={**os.environ, "DVC_STAGE": "train@x"})
"""


def start(folder: Path, command: str, stage: str = STAGE) -> subprocess.Popen[bytes]:
    """A stand-in for DVC that runs `command`; returns when the stage works."""
    (folder / "stage.py").write_text(stage)
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", DVC, command.format(python=sys.executable)],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(PROJECT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 60
    while not (folder / "started").exists():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    ("how", "command"),
    [
        pytest.param(signal.SIGKILL, "exec {python} stage.py", id="directly"),
        pytest.param(signal.SIGTERM, "{python} stage.py; true", id="by a shell that stays"),
        pytest.param(signal.SIGKILL, "sh -c '{python} stage.py; true'; true", id="by two shells"),
        pytest.param(
            signal.SIGTERM, "trap '' INT TERM HUP; {python} stage.py; true", id="deaf to signals"
        ),
    ],
)
def test_stage_ends_when_its_dvc_is_ended(tmp_path: Path, how: int, command: str) -> None:
    dvc = start(tmp_path, command)
    stage = max(psutil.Process(dvc.pid).children(recursive=True), key=lambda each: each.pid)
    # Not waited for, so it stays in the process table, as under a parent that is busy.
    dvc.send_signal(how)
    stage.wait(timeout=8)
    dvc.wait()
    log = (tmp_path / "log").read_text()
    assert "the DVC that started this stage is gone" in log
    assert "tidied up" in log
    assert "worked on" not in log


@pytest.mark.parametrize("command", ["exec {python} stage.py", "{python} stage.py; true"])
def test_stage_ends_when_its_dvc_was_killed_before_it_looked(tmp_path: Path, command: str) -> None:
    dvc = start(tmp_path, command, LATE_STAGE)
    stage = max(psutil.Process(dvc.pid).children(recursive=True), key=lambda each: each.pid)
    dvc.kill()
    dvc.wait()
    (tmp_path / "killed").touch()
    stage.wait(timeout=60)
    assert (tmp_path / "log").read_text() == f"{lifeline.GONE}\n"


def test_stage_that_drops_the_exception_ends_all_the_same(tmp_path: Path) -> None:
    dvc = start(tmp_path, "exec {python} stage.py", DEAF_STAGE)
    (stage,) = psutil.Process(dvc.pid).children(recursive=True)
    dvc.kill()
    dvc.wait()
    stage.wait(timeout=20)
    assert (tmp_path / "log").read_text() == ""


def test_stage_of_a_living_dvc_works_on(tmp_path: Path) -> None:
    assert start(tmp_path, "{python} stage.py; true").wait(timeout=60) == 0
    assert (tmp_path / "log").read_text() == "worked on\ntidied up\n"


def test_stage_without_dvc_outlives_what_started_it(tmp_path: Path) -> None:
    parent = start(tmp_path, "unset DVC_STAGE; {python} stage.py; true")
    stage = max(psutil.Process(parent.pid).children(recursive=True), key=lambda each: each.pid)
    parent.kill()
    parent.wait()
    stage.wait(timeout=60)
    assert (tmp_path / "log").read_text() == "worked on\ntidied up\n"
