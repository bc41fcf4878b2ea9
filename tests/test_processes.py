"""A stage whose DVC or shell is gone ends, however it was started; other processes go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import PROJECT

from pipeline.tools import processes

GONE = f"{processes.GONE}\n"
# A late stage looks for its DVC when that is gone.
STAGE = """
import sys, time
from pathlib import Path
from pipeline.tools import processes
Path("started").touch()
if "late" in sys.argv:
    while not Path("killed").exists():
        time.sleep(0.05)
processes.watch_parent()
Path("watched").touch()
time.sleep(5)
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
    while not (folder / ("started" if "late" in command else "watched")).exists():
        assert dvc.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    children = psutil.Process(dvc.pid).children(recursive=True)
    return dvc, max(children, key=lambda each: each.pid)


@pytest.mark.parametrize(
    ("number", "command", "log"),
    [
        pytest.param(None, "{stage}; true", "all done\n", id="goes on"),
        pytest.param(None, "{stage}; true", GONE, id="the shell alone"),
        pytest.param(signal.SIGKILL, "exec {stage}", GONE, id="directly"),
        pytest.param(signal.SIGTERM, "{stage}; true", GONE, id="by a shell"),
        pytest.param(signal.SIGKILL, "sh -c '{stage}; true'; true", GONE, id="by two shells"),
        pytest.param(signal.SIGTERM, "trap '' INT TERM HUP; {stage}; true", GONE, id="ignored"),
        pytest.param(signal.SIGKILL, "{stage} late; true", GONE, id="before it looks"),
        pytest.param(signal.SIGKILL, "unset DVC_STAGE; {stage}; true", "all done\n", id="no DVC"),
    ],
)
def test_a_stage_ends_after_its_dvc(
    tmp_path: Path, number: signal.Signals | None, command: str, log: str
) -> None:
    dvc, stage = start(tmp_path, command)
    if number:
        dvc.send_signal(number)
    elif log == GONE and (shell := stage.parent()):
        shell.kill()
    if "late" in command:  # until then DVC stays in the process table, as a zombie
        dvc.wait()
        (tmp_path / "killed").touch()
    stage.wait(timeout=60)
    dvc.wait()
    assert (tmp_path / "log").read_text() == log
