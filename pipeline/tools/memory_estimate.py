"""How many trainings fit into memory at a time."""

from pathlib import Path

import psutil

LARGEST_TRAINING = 3.9 * 2**30  # bytes, measured: `best` on CIFAR-10 with eight threads
LIMIT = Path("/sys/fs/cgroup/memory.max")  # of the control group of a container


def available_memory() -> int:
    """Bytes of the machine's memory, or of its container's."""
    total: int = psutil.virtual_memory().total
    limit = LIMIT.read_text().strip() if LIMIT.exists() else "max"
    return min(total, int(limit)) if limit.isdecimal() else total
