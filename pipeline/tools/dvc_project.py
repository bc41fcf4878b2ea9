"""Open the project with DVC, and write dvc.lock; DVC's errors become messages with the remedy."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.tools import git, lockfile


@contextmanager
def opened(*, wait: bool) -> Iterator[Repo]:
    """The project under DVC's lock, so that no other dvc writes dvc.lock meanwhile.

    Hold it briefly: a stage that ends meanwhile waits 3 s for the lock, then fails. While another
    dvc holds the lock, waits for it if `wait`, else raises PipelineError, as for damaged files.
    """
    try:
        with Repo(_wait_for_lock=wait) as repo, lock_repo(repo):
            yield repo
    except (DvcException, PermissionError, FileNotFoundError) as error:
        raise unreadable(error) from error


def unreadable(error: DvcException | OSError) -> PipelineError:
    """The PipelineError for a project that DVC cannot read."""
    remedy = lockfile.REMEDY if lockfile.LOCK.name in str(error) else git.REMEDY
    if isinstance(error, OSError):
        remedy = "mend its permissions; a link into a cache that was moved: `dvc checkout`"
    return PipelineError(f"DVC cannot read this project: {error}; {remedy}")


def read_entries() -> dict[str, Any]:
    """The entries of dvc.lock by stage, in the order of the file."""
    return load_yaml(lockfile.LOCK)["stages"] if lockfile.LOCK.exists() else {}


def write_entries(entries: Mapping[str, Any]) -> None:
    """Write dvc.lock with these `entries`."""
    content = {"schema": "2.0", "stages": entries}
    files.write(lockfile.LOCK, lambda temporary: dump_yaml(temporary, content))


def sort_entries(order: Sequence[str]) -> None:
    """Sort dvc.lock by `order`, other stages last: DVC appends an entry when its stage ends."""
    with opened(wait=True):  # another DVC may be writing
        entries = read_entries()
        names = [name for name in dict.fromkeys([*order, *entries]) if name in entries]
        if names != list(entries):
            write_entries({name: entries[name] for name in names})
