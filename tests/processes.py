"""Which processes a test has left running."""

import os
import time
from pathlib import Path

import psutil

ENDING_SECONDS = 10  # milliseconds where the machine is idle


def running_in(folder: Path) -> list[psutil.Process]:
    """The processes, besides this one, whose current folder is `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and Path(process.cwd()) == folder:
                found.append(process)
        except psutil.Error:
            continue
    return found


def left_in(folder: Path) -> list[psutil.Process]:
    """Those of `running_in` that stay: a killed process takes a moment to end."""
    deadline = time.monotonic() + ENDING_SECONDS
    while (found := running_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
