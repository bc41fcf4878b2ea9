"""Open the project with DVC, and write dvc.lock; DVC's errors become messages with the remedy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.tools import git, lockfile


@contextmanager
def opened(*, lock: bool = True, wait: bool = False) -> Iterator[Repo]:
    """The project, with `lock` under DVC's, so that no other dvc writes dvc.lock meanwhile.

    Hold it briefly: a stage that ends meanwhile waits 3 s for the lock, then fails. While another
    dvc holds the lock, waits for it if `wait`, else raises PipelineError, as where DVC cannot read
    the project.
    """
    try:
        with Repo(_wait_for_lock=wait) as repo, lock_repo(repo) if lock else nullcontext():
            yield repo
    except (DvcException, PermissionError, FileNotFoundError) as error:
        remedy = lockfile.REMEDY if lockfile.LOCK.name in str(error) else git.REMEDY
        if isinstance(error, OSError):
            remedy = "mend its permissions; a link into a cache that was moved: `dvc checkout`"
        raise PipelineError(f"DVC cannot read this project: {error}; {remedy}") from error


def read_entries() -> dict[str, Any]:
    """The entries of dvc.lock by stage, in the order of the file."""
    return load_yaml(lockfile.LOCK)["stages"] if lockfile.LOCK.exists() else {}


def write_entries(entries: Mapping[str, Any]) -> None:
    """Write dvc.lock with these `entries`."""
    content = {"schema": "2.0", "stages": entries}
    files.write(lockfile.LOCK, lambda temporary: dump_yaml(temporary, content))
