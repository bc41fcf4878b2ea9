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

# A late stage looks for its DVC when that is gone; a deaf one drops what a signal handler raises.
STAGE = """
import sys, time
from pathlib import Path
from pipeline.tools import parent_watchdog
parent_watchdog.GRACE_SECONDS = 1
if "late" in sys.argv:
    Path("started").touch()
    while not Path("killed").exists():
        time.sleep(0.05)
parent_watchdog.watch()
Path("started").touch()
try:
    time.sleep(5)
except SystemExit:
    if "deaf" not in sys.argv:
        print("cleaned up", flush=True)
        raise
    time.sleep(60)
print("all done", flush=True)
"""
# As DVC starts a stage: by a shell, with DVC_STAGE in its environment.
DVC = """
import os, subprocess, sys
subprocess.run(sys.argv[1], shell=True, env={**os.environ, "DVC_STAGE": "train@x"})
"""


def start(folder: Path, command: str) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """A stand-in for DVC that runs `command`, and the stage, which has started."""
    (folder / "stage.py").write_text(STAGE)
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    with (folder / "log").open("w") as log:
        dvc = subprocess.Popen(
            [sys.executable, "-c", DVC, command.format(stage=f"{sys.executable} stage.py")],
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
        pytest.param(signal.SIGKILL, "exec {stage}", id="directly"),
        pytest.param(signal.SIGTERM, "{stage}; true", id="by a shell"),
        pytest.param(signal.SIGKILL, "sh -c '{stage}; true'; true", id="by two shells"),
        pytest.param(signal.SIGTERM, "trap '' INT TERM HUP; {stage}; true", id="signals ignored"),
    ],
)
def test_a_stage_ends_after_its_dvc(tmp_path: Path, number: int, command: str) -> None:
    dvc, stage = start(tmp_path, command)
    dvc.send_signal(number)  # not waited for: it stays in the process table as a zombie
    stage.wait(timeout=60)
    dvc.wait()
    assert (tmp_path / "log").read_text() == f"cleaned up\n{parent_watchdog.GONE}\n"


def test_a_stage_ends_after_the_shell_that_started_it(tmp_path: Path) -> None:
    dvc, stage = start(tmp_path, "{stage}; true")
    shell = stage.parent()
    assert shell
    shell.kill()
    stage.wait(timeout=60)
    dvc.wait()
    assert "all done" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("command", "log"),
    [
        ("exec {stage} late", f"{parent_watchdog.GONE}\n"),
        ("{stage} late; true", f"{parent_watchdog.GONE}\n"),
        ("exec {stage} deaf", ""),
        ("unset DVC_STAGE; {stage}; true", "all done\n"),  # no stage of DVC
    ],
)
def test_what_a_stage_does_once_its_parent_is_gone(tmp_path: Path, command: str, log: str) -> None:
    dvc, stage = start(tmp_path, command)
    dvc.kill()
    dvc.wait()
    (tmp_path / "killed").touch()
    stage.wait(timeout=60)
    assert (tmp_path / "log").read_text() == log


def test_a_stage_of_a_running_dvc_goes_on(tmp_path: Path) -> None:
    dvc, _ = start(tmp_path, "{stage}; true")
    assert dvc.wait(timeout=60) == 0
    assert (tmp_path / "log").read_text() == "all done\n"
