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

from pipeline.tools import parent_watchdog

STAGE = """
import time
from pathlib import Path
from pipeline.tools import parent_watchdog
parent_watchdog.watch()
Path("started").touch()
try:
    for _ in range(50):
        time.sleep(0.1)
    print("all done", flush=True)
finally:
    print("cleaned up", flush=True)
"""
# Python has just started when its DVC is killed.
LATE_STAGE = """
import time
from pathlib import Path
from pipeline.tools import parent_watchdog
Path("started").touch()
while not Path("killed").exists():
    time.sleep(0.05)
parent_watchdog.watch()
print("all done", flush=True)
"""
# A destructor swallows an exception that a signal handler raises in it.
DEAF_STAGE = """
import time
from pathlib import Path
from pipeline.tools import parent_watchdog
parent_watchdog.GRACE_SECONDS = 1
parent_watchdog.watch()
Path("started").touch()
try:
    time.sleep(60)
except SystemExit:
    time.sleep(60)
print("all done", flush=True)
"""
# As DVC starts a stage: by a shell, with DVC_STAGE in its environment.
DVC = """
import os, subprocess, sys
subprocess.run(sys.argv[1], shell=True, env={**os.environ, "DVC_STAGE": "train@x"})
"""


def start(
    folder: Path, command: str, stage: str = STAGE
) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """A stand-in for DVC that runs `command`, and the stage, which has started."""
    (folder / "stage.py").write_text(stage)
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    with (folder / "log").open("w") as log:
        dvc = subprocess.Popen(
            [sys.executable, "-c", DVC, command.format(python=sys.executable)],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(PROJECT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    while not (folder / "started").exists():
        assert dvc.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    children = psutil.Process(dvc.pid).children(recursive=True)
    return dvc, max(children, key=lambda each: each.pid)


@pytest.mark.parametrize(
    ("number", "command"),
    [
        pytest.param(signal.SIGKILL, "exec {python} stage.py", id="directly"),
        pytest.param(signal.SIGTERM, "{python} stage.py; true", id="by a shell"),
        pytest.param(signal.SIGKILL, "sh -c '{python} stage.py; true'; true", id="by two shells"),
        pytest.param(
            signal.SIGTERM, "trap '' INT TERM HUP; {python} stage.py; true", id="signals ignored"
        ),
    ],
)
def test_a_stage_ends_after_its_dvc(tmp_path: Path, number: int, command: str) -> None:
    dvc, stage = start(tmp_path, command)
    dvc.send_signal(number)  # not waited for: it stays in the process table as a zombie
    stage.wait(timeout=60)
    dvc.wait()
    log = (tmp_path / "log").read_text()
    assert parent_watchdog.GONE in log
    assert "cleaned up" in log
    assert "all done" not in log


def test_a_stage_ends_after_the_shell_that_started_it(tmp_path: Path) -> None:
    dvc, stage = start(tmp_path, "{python} stage.py; true")
    shell = stage.parent()
    assert shell
    shell.kill()
    stage.wait(timeout=60)
    dvc.wait()
    assert "all done" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("command", ["exec {python} stage.py", "{python} stage.py; true"])
def test_a_stage_ends_when_its_dvc_was_gone_before(tmp_path: Path, command: str) -> None:
    dvc, stage = start(tmp_path, command, LATE_STAGE)
    dvc.kill()
    dvc.wait()
    (tmp_path / "killed").touch()
    stage.wait(timeout=60)
    assert (tmp_path / "log").read_text() == f"{parent_watchdog.GONE}\n"


def test_a_stage_that_swallows_the_exception_ends_all_the_same(tmp_path: Path) -> None:
    dvc, stage = start(tmp_path, "exec {python} stage.py", DEAF_STAGE)
    dvc.kill()
    dvc.wait()
    stage.wait(timeout=60)
    assert (tmp_path / "log").read_text() == ""


def test_a_stage_of_a_running_dvc_goes_on(tmp_path: Path) -> None:
    dvc, _ = start(tmp_path, "{python} stage.py; true")
    assert dvc.wait(timeout=60) == 0
    assert (tmp_path / "log").read_text() == "all done\ncleaned up\n"


def test_a_stage_without_dvc_outlives_what_started_it(tmp_path: Path) -> None:
    parent, stage = start(tmp_path, "unset DVC_STAGE; {python} stage.py; true")
    parent.kill()
    parent.wait()
    stage.wait(timeout=60)
    assert (tmp_path / "log").read_text() == "all done\ncleaned up\n"
