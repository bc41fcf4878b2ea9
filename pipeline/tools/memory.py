"""How much memory a stage may take here: said before one that may be ended for lack of it.

The system ends a process without a word, and DVC then says "exited with -9".
"""

import sys
from pathlib import Path

import psutil

# In GiB, measured: what `best` takes on eight threads, the most of all trainings, and what of
# addresses is enough, of which most are never used.
NEEDED, ADDRESSES = 3.9, 8.0
GIB = 2**30
CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def warning() -> str | None:
    """A line where this process may have less than what the largest training needs."""
    here = allowed()
    if here < NEEDED * GIB:
        return (
            f"{here / GIB:.1f} GiB of memory are here or allowed, and the largest training needs "
            f"up to {NEEDED}: where one ends with -9 or Killed, give it more, or run one at a time"
        )
    if addresses() < ADDRESSES * GIB:
        return (
            f"`ulimit -v` allows {addresses() / GIB:.1f} GiB of addresses, of which TensorFlow "
            f"reserves up to {ADDRESSES:.0f}: where it ends with bad_alloc, `ulimit -v unlimited`"
        )
    return None


def allowed() -> int:
    """Bytes of memory: the machine's, or less where a control group says so."""
    return min([psutil.virtual_memory().total, *_limits()])


def addresses() -> float:
    """Bytes of addresses that the shell's limits allow."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def _limits() -> list[int]:
    """The limits of this process's control group and those above it; none but on Linux."""
    if not OWN_CGROUP.exists():
        return []
    own = OWN_CGROUP.read_text(encoding="utf-8").splitlines()
    unified = [line.removeprefix("0::/") for line in own if line.startswith("0::/")]
    folders = [CGROUPS / path for path in unified] or [CGROUPS / "memory"]
    folders += [above for folder in folders for above in folder.parents if above >= CGROUPS]
    found = []
    for folder in folders:
        for name in ("memory.max", "memory.limit_in_bytes"):  # of version 2, of version 1
            file = folder / name
            if file.is_file() and (text := file.read_text(encoding="utf-8").strip()).isdecimal():
                found.append(int(text))
    return found
