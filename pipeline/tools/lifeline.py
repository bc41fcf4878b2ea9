"""A stage ends when the DVC that started it is gone, as after `kill -9` of DVC.

Otherwise it would work on unseen, and write its outputs while the next `dvc repro` runs.
"""

import os
import signal
import sys
import threading
import time
from types import FrameType

import psutil

LOOK_SECONDS = 1.0
# Less than the 30 s that the next training of the variant waits (pipeline/train/checkpoint.py).
GRACE_SECONDS = 10.0
GONE = (
    "the DVC that started this stage is gone, so it ends too; run `dvc repro` again: a training "
    "goes on after its last finished epoch"
)


def watch() -> None:
    """End this process once the DVC above is gone; at once, by SystemExit, if it is already.

    To be called from the main thread. Does nothing where no DVC started this process.
    """
    stage = os.environ.get("DVC_STAGE")
    if stage is None:
        return
    below, dvc = _link_to_dvc(stage)
    if dvc is None:
        sys.exit(GONE)
    # Of all signals the one that nobody else sends, and that nohup does not ignore.
    signal.signal(signal.SIGUSR1, _end)
    threading.Thread(target=_look, args=(below, dvc), daemon=True).start()


def _link_to_dvc(stage: str) -> tuple[psutil.Process, int | None]:
    """The process that DVC started, this one or a shell above it, and DVC's number.

    DVC gives DVC_STAGE to what it starts, so it is the first above that was started without it.
    None for one that is gone: its place is then taken by a process of another group, say number
    1, while DVC starts its stages in its own group.
    """
    below = psutil.Process()
    try:
        while (above := below.parent()) and _started_for(above, stage):
            below = above
        if above and os.getpgid(above.pid) == os.getpgid(below.pid):
            return below, above.pid
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass  # it went while we looked
    return below, None


def _started_for(process: psutil.Process, stage: str) -> bool:
    try:
        return process.environ().get("DVC_STAGE") == stage
    except psutil.AccessDenied:
        return False  # another user's process was not given our DVC_STAGE


def _look(below: psutil.Process, dvc: int) -> None:
    # Not whether DVC still runs: a killed process keeps its number until its parent takes notice,
    # but its children get another parent at once.
    while _parent(below) == dvc:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGUSR1)
    # Python sees the signal when TensorFlow's call returns, and may drop what it raises.
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(GONE)
