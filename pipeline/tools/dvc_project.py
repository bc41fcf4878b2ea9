"""The project as DVC sees it, opened under DVC's own lock, or a message that says what to mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.rwlock import RWLOCK_FILE, RWLockFileCorruptedError, RWLockFileFormatError, rwlock
from dvc.stage.exceptions import StageNotFound

from pipeline.base.errors import PipelineError
from pipeline.tools import git, recorded


@contextmanager
def opened(folder: Path = Path(), *, wait: bool) -> Iterator[Repo]:
    """The project in `folder`; while it is open no other dvc can change dvc.lock.

    Keep it short: a training that ends meanwhile gives up after 3 s. Where another dvc is at
    work, waits for it or, unless told to `wait`, raises PipelineError, as for damaged files.
    """
    try:
        with Repo(str(folder), _wait_for_lock=wait) as repo, lock_repo(repo):
            _check_rwlock(repo)
            yield repo
    except DvcException as error:
        raise unreadable(error) from error


def unreadable(error: DvcException) -> PipelineError:
    """What to say when DVC cannot read the project for `error`."""
    if isinstance(error, LockError):
        return PipelineError(
            "another dvc is at work in this project; wait until the other dvc has ended, then run "
            "again"
        )
    remedy = "mend that first"
    if recorded.LOCK.name in str(error):
        remedy = recorded.REMEDY
    if "not a git repository" in str(error):
        remedy = git.INIT
    if isinstance(error, StageNotFound):
        remedy = "`dvc stage list` names those that exist"
    return PipelineError(f"DVC cannot read this project: {error}; {remedy}")


def _check_rwlock(repo: Repo) -> None:
    """Raise PipelineError when DVC's note of the files in use is damaged, as by a full disk."""
    hardlink = repo.config["core"].get("hardlink_lock", False)
    try:
        with rwlock(repo.tmp_dir, localfs, "check", [], [], hardlink):
            pass
    except (RWLockFileCorruptedError, RWLockFileFormatError, UnicodeDecodeError) as error:
        note = Path(repo.tmp_dir, RWLOCK_FILE).relative_to(repo.root_dir)
        raise PipelineError(
            f"{note}: expected DVC's note of the files in use, found a damaged one; delete it "
            "when no other dvc is at work, then run again"
        ) from error
