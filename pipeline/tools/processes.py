"""Ends stages and commands without leaving processes, temporary folders or tracebacks behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CalledProcessError
from types import FrameType
from typing import Any, NoReturn

import psutil
from dvc.exceptions import DvcException

from pipeline.core.errors import PipelineError

TERMINATION = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 1.0
GONE = (
    "the DVC process that started this stage is gone, so the stage ends too; run `dvc repro` "
    "again: a training resumes after its last finished epoch"
)


def run_command(main: Callable[..., int | None], *arguments: Any) -> NoReturn:
    """Exit with the status of `main(*arguments)`, or the text of an error that the user can mend.

    Ctrl-C, SIGTERM and SIGHUP raise SystemExit with the shell's status, once, so that `with` and
    `finally` blocks clean up; SIGINT also in a shell's background, where it is ignored.
    """
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    for number in TERMINATION:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _exit)
    try:
        sys.exit(main(*arguments))
    except (PipelineError, DvcException, CalledProcessError, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")


def _exit(number: int, _frame: FrameType | None) -> None:
    for other in TERMINATION:
        signal.signal(other, signal.SIG_IGN)  # a second one must not interrupt the cleanup
    raise SystemExit(128 + number)


def watch_parent() -> None:
    """End this stage, as `kill -9` would, once its DVC is gone; does nothing without a DVC.

    After `kill -9` of DVC it would else go on, and write its outputs during the next `dvc repro`.
    """
    if stage := os.environ.get("DVC_STAGE"):
        ancestors = _up_to_dvc(stage)
        threading.Thread(target=_poll, args=(ancestors,), daemon=True).start()


def _up_to_dvc(stage: str) -> list[psutil.Process]:
    """The ancestors up to DVC, the first without our DVC_STAGE; SystemExit when it is gone.

    An orphan's next ancestor is of another process group; DVC starts its stages in its own.
    """
    ancestors = []
    with suppress(psutil.Error):  # it is gone, or of another user
        for ancestor in psutil.Process().parents():
            ancestors.append(ancestor)
            if ancestor.environ().get("DVC_STAGE") != stage:
                break
    with suppress(IndexError, ProcessLookupError):
        if os.getpgid(ancestors[-1].pid) == os.getpgid(0):
            return ancestors
    sys.exit(GONE)


def _poll(ancestors: list[psutil.Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        # A killed process is a zombie until its parent waits for it.
        while all(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in ancestors):
            time.sleep(POLL_SECONDS)
    with suppress(OSError):  # nobody reads it
        os.write(2, f"{GONE}\n".encode())
    os._exit(1)  # an exception would wait for TensorFlow's call, which may drop it
