"""Ends a stage when the DVC process that started it is gone, as after `kill -9` of DVC.

Otherwise it would go on in the background and write its outputs during the next `dvc repro`.
"""

import os
import sys
import threading
import time
from contextlib import suppress

import psutil

POLL_SECONDS = 1.0
GONE = (
    "the DVC process that started this stage is gone, so the stage ends too; run `dvc repro` "
    "again: a training resumes after its last finished epoch"
)


def watch() -> None:
    """End this process, as `kill -9` would, once its DVC is gone; does nothing without a DVC."""
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
