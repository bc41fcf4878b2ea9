"""Ends a stage when the DVC process that started it is gone, as after `kill -9` of DVC.

Otherwise it would go on in the background and write its outputs during the next `dvc repro`.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress

import psutil

POLL_SECONDS = 1.0
# Less than the 30 s that the next training of the variant waits (pipeline/train/checkpoint.py).
GRACE_SECONDS = 10.0
GONE = (
    "the DVC process that started this stage is gone, so the stage ends too; run `dvc repro` "
    "again: a training resumes after its last finished epoch"
)


def watch() -> None:
    """End this process once its DVC is gone; raises SystemExit when it is gone already.

    Call it from the main thread. Does nothing where no DVC started this process.
    """
    stage = os.environ.get("DVC_STAGE")
    if stage is None:
        return
    ancestors = _up_to_dvc(stage)
    if not ancestors:
        sys.exit(GONE)
    # A signal that nothing else sends and that nohup does not ignore.
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(GONE))
    threading.Thread(target=_poll, args=(ancestors,), daemon=True).start()


def _up_to_dvc(stage: str) -> list[psutil.Process]:
    """The ancestors up to DVC, the first without our DVC_STAGE; empty when it is gone.

    An orphan's next ancestor is of another process group; DVC starts its stages in its own.
    """
    ancestors = []
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        for ancestor in psutil.Process().parents():
            ancestors.append(ancestor)
            if _stage_of(ancestor) != stage:
                return ancestors if os.getpgid(ancestor.pid) == os.getpgid(0) else []
    return []


def _stage_of(process: psutil.Process) -> str | None:
    with suppress(psutil.AccessDenied):  # another user's process
        return process.environ().get("DVC_STAGE")
    return None


def _poll(ancestors: list[psutil.Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        # A killed process is a zombie until its parent waits for it.
        while all(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in ancestors):
            time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGUSR1)
    # Python handles a signal when TensorFlow's call returns, and may drop the exception.
    time.sleep(GRACE_SECONDS)
    os._exit(1)
