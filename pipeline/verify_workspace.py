"""A temporary copy of the committed state, and its stages run there, without DVC and its caches."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pipeline import checkpoint, history
from pipeline.errors import PipelineError

LOOK_SECONDS = 0.2  # between two looks for the first checkpoint


def commit(project: Path) -> str:
    """The hash of the commit that `project` stands on; PipelineError when there is none."""
    return _git(project, "rev-parse", "--verify", "HEAD").decode().strip()


def uncommitted(project: Path) -> list[str]:
    """The files in `project` that differ from the commit, and the new ones that git would take."""
    listing = _git(project, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return [entry[3:] for entry in listing.decode(errors="replace").split("\0") if entry]


@contextmanager
def copy(project: Path, commit: str) -> Iterator[Path]:
    """A folder outside `project` with the files of `commit`, deleted in the end.

    No clone: a clone has refs, hooks and a cache of DVC's, and none of it is wanted.
    """
    archive = io.BytesIO(_git(project, "archive", "--format=tar", commit))  # a few MB
    with ExitStack() as stack:
        folder = "a temporary folder"
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-"))
            with tarfile.open(fileobj=archive) as content:
                content.extractall(folder, filter="data")
        except OSError as error:
            raise PipelineError(
                f"cannot copy the commit to {folder}: {error.strerror}; free 1 GB there, or name "
                "another folder in the variable TMPDIR"
            ) from error
        yield Path(folder)


def stage(folder: Path, *arguments: str) -> None:
    """Run `python -m pipeline ARGUMENTS` in `folder`; PipelineError when it fails."""
    with _started(folder, *arguments) as process:
        process.wait()
    _expect_success(process.returncode, folder, "pipeline", *arguments)


def output(folder: Path, module: str, *arguments: str) -> list[str]:
    """The lines that `python -m MODULE ARGUMENTS` prints in `folder`; PipelineError if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    _expect_success(done.returncode, folder, module, *arguments)
    return done.stdout.splitlines()


def train(folder: Path, variant: str, seconds: float | None) -> bool:
    """Train `variant` in `folder`, for `seconds` at most, but one epoch at least; None: to the end.

    Returns whether the training ended by itself. A stopped one leaves its checkpoint. Raises
    PipelineError when it fails.
    """
    with _started(folder, "train", variant) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            reached = folder / checkpoint.path(variant)
            while process.poll() is None and not reached.exists():
                time.sleep(LOOK_SECONDS)
            if process.poll() is None:
                process.kill()  # a checkpoint is written whole or not at all
                process.wait()
                return not reached.exists()  # deleted: all was written in this very moment
    _expect_success(process.returncode, folder, "pipeline", "train", variant)
    return True


def rows(folder: Path, variant: str) -> list[str]:
    """The history of a training of `variant` that was stopped, as rows of CSV without header."""
    names = {checkpoint.HISTORY + name: name for name in history.FIGURES}
    with np.load(folder / checkpoint.path(variant), allow_pickle=False) as archive:
        # Those of validation are not there where none was held out.
        figures = {names[key]: archive[key].tolist() for key in archive.files if key in names}
    return history.table(figures).splitlines()[1:]


@contextmanager
def _started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A stage at work in `folder`, its output among ours; it does not outlive the body."""
    sys.stdout.flush()  # or what was said before would come after
    own = {
        "DVC_STAGE": "verify",  # for pipeline/lifeline.py, should we be killed
        "TMPDIR": str(folder),  # a killed TensorFlow leaves files there
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **own},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _expect_success(status: int, folder: Path, *command: str) -> None:
    if status:
        raise PipelineError(
            f"`python -m {' '.join(command)}` failed with exit status {status}, for the reason "
            f"above, in a copy of the commit at {folder}; mend that, or name another place for "
            "the copy in the variable TMPDIR where it lacked space"
        )


def _git(project: Path, *arguments: str) -> bytes:
    """What git prints; without optional locks it writes nothing, not even its index."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=project,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace") or str(error)
        found = " ".join(said.split())
        raise PipelineError(
            f"{project.resolve()}: expected the top folder of a git repository with a commit; "
            f"git says: {found}; run in a clone of the project"
        ) from None
    return done.stdout
