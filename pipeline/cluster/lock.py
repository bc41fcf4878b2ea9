"""Keeps dvc.lock the same, byte for byte, whichever stage ends first.

DVC appends the entry of a new stage when the stage ends; one after another, that is plan order.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.base import files
from pipeline.tools.lockfile import LOCK


@contextmanager
def in_plan_order(names: Sequence[str]) -> Iterator[None]:
    """On exit, sort the entries that the body added by `names`, after the earlier ones.

    Waits for another DVC that holds DVC's lock, unless an exception ended the body.
    """
    before = list(_entries())
    try:
        yield
    except BaseException:
        try:
            _sort([*before, *names], wait=False)
        except LockError:
            print(
                f"{LOCK}: another DVC is running; new entries are in the order in which their "
                "stages ended, which changes no result",
                file=sys.stderr,
            )
        raise
    _sort([*before, *names], wait=True)


def _sort(order: Sequence[str], *, wait: bool) -> None:
    """Sort the entries by `order`. Raises LockError after 3 s, unless it may `wait`."""
    with Repo(_wait_for_lock=wait) as repo, lock_repo(repo):
        found = _entries()
        names = sorted(found, key=order.index)
        if names != list(found):
            content = {**load_yaml(LOCK), "stages": {name: found[name] for name in names}}
            files.write(LOCK, lambda temporary: dump_yaml(temporary, content))


def _entries() -> dict[str, object]:
    """The entries of dvc.lock by stage, in the order of the file."""
    entries: dict[str, object] = load_yaml(LOCK)["stages"] if LOCK.exists() else {}
    return entries
