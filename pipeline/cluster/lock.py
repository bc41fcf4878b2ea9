"""Keeps dvc.lock the same, byte for byte, whichever stage ends first.

DVC appends the entry of a new stage when the stage ends; one after another, that is plan order.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.core import files
from pipeline.tools import dvc_project
from pipeline.tools.lockfile import LOCK


def read_entries() -> dict[str, Any]:
    """The entries of dvc.lock by stage, in the order of the file."""
    return load_yaml(LOCK)["stages"] if LOCK.exists() else {}


def write_entries(entries: Mapping[str, Any]) -> None:
    """Write dvc.lock with these `entries`."""
    content = {"schema": "2.0", "stages": entries}
    files.write(LOCK, lambda temporary: dump_yaml(temporary, content))


@contextmanager
def in_plan_order(names: Sequence[str]) -> Iterator[None]:
    """On exit, sort the entries that the body added by `names`, after the earlier ones."""
    earlier = read_entries()
    try:
        yield
    finally:
        with dvc_project.opened(wait=True):  # another DVC may be writing
            entries = read_entries()
            in_order = [n for n in dict.fromkeys([*earlier, *names, *entries]) if n in entries]
            if in_order != list(entries):
                write_entries({name: entries[name] for name in in_order})
