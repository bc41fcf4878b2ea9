"""The clones of the repository that a worker's machine keeps, one for each stage at a time.

Sent to workers as code: this module imports nothing of the project.
"""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import filelock

# Seconds before each further try of what may be out of reach for a moment.
PATIENCE = (1, 2, 4, 8, 16, 32)
LEAST_MEBIBYTES = 256


@contextmanager
def cloned(repository: str, commit: str) -> Iterator[Path]:
    """A clone of `repository` at `commit`, for this stage alone; it is kept, with DVC's cache.

    RuntimeError with what git says when it cannot be had.
    """
    own = _place() / hashlib.sha256(repository.encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    folder, held = _unused(own)
    with held:
        if not (folder / ".git/config").exists():
            _git("clone", "--quiet", "--no-checkout", repository, str(folder), tries=PATIENCE)
        _git("fetch", "--quiet", "origin", folder=folder, tries=PATIENCE)
        _git("checkout", "--quiet", "--force", "--detach", commit, folder=folder)
        _git("clean", "--quiet", "--force", "-d", folder=folder)  # of another commit's results
        yield folder


def patiently(attempt: Callable[[], str], tries: Iterable[int] = PATIENCE) -> str:
    """What went wrong in the last `attempt`, nothing where one succeeded.

    Tried again after each of so many seconds, unless the disk is full.
    """
    wrong = attempt()
    for pause in tries:
        if not wrong or space():
            break
        print(f"{wrong}; again in {pause} s", flush=True)
        time.sleep(pause)
        wrong = attempt()
    return wrong


def space() -> str | None:
    """What the disk for the clones lacks, so that no stage can run here."""
    place = _place()
    there = next(path for path in (place, *place.parents) if path.exists())
    mebibytes = shutil.disk_usage(there).free >> 20
    if mebibytes >= LEAST_MEBIBYTES:
        return None
    return f"space for {place}: expected {LEAST_MEBIBYTES} MiB, found {mebibytes}"


def _place() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pipeline-clones"


def _unused(own: Path) -> tuple[Path, AbstractContextManager[object]]:
    """A folder in `own` that no other worker of this machine is using, and the lock on it."""
    number = 1
    while True:
        lock = filelock.FileLock(own / f"{number}.lock")
        try:
            return own / str(number), lock.acquire(timeout=0)
        except filelock.Timeout:
            number += 1


def _git(*arguments: str, folder: Path | None = None, tries: Iterable[int] = ()) -> None:
    def attempt() -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return f"git {arguments[0]} failed: {done.stderr.strip()}" if done.returncode else ""

    if wrong := patiently(attempt, tries):
        raise RuntimeError(wrong)
