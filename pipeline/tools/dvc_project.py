"""Open the project with DVC; DVC's errors become messages that name the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo

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
    except DvcException as error:
        raise unreadable(error) from error


def unreadable(error: DvcException) -> PipelineError:
    """The PipelineError for a project that DVC cannot read."""
    remedy = lockfile.REMEDY if lockfile.LOCK.name in str(error) else git.REMEDY
    return PipelineError(f"DVC cannot read this project: {error}; {remedy}")
