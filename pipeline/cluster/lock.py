"""Keeps dvc.lock the same, byte for byte, whichever stage ends first.

DVC appends the entry of a new stage when the stage ends; one after another, that is plan order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.base import files
from pipeline.tools.lockfile import LOCK


@contextmanager
def in_plan_order(names: Sequence[str]) -> Iterator[None]:
    """On exit, sort the entries that the body added by `names`, after the earlier ones.

    Waits for another DVC that holds DVC's lock, but not after an exception.
    """
    order = [*_entries(), *names]
    try:
        yield
    except BaseException:
        with suppress(LockError):
            _sort(order, wait=False)
        raise
    _sort(order, wait=True)


def _sort(order: Sequence[str], *, wait: bool) -> None:
    with Repo(_wait_for_lock=wait) as repo, lock_repo(repo):
        entries = _entries()
        names = sorted(entries, key=order.index)
        if names != list(entries):
            content = {**load_yaml(LOCK), "stages": {name: entries[name] for name in names}}
            files.write(LOCK, lambda temporary: dump_yaml(temporary, content))


def _entries() -> dict[str, object]:
    """The entries of dvc.lock by stage, in the order of the file."""
    entries: dict[str, object] = load_yaml(LOCK)["stages"] if LOCK.exists() else {}
    return entries
