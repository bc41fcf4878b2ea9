"""Run git on the project."""

import functools
import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from pipeline.core.errors import PipelineError

REMEDY = "fix it, then run again in a clone of the project, or after `git init` and a first commit"


@functools.cache
def local_variables() -> frozenset[str]:
    """GIT_DIR, GIT_INDEX_FILE and the other variables that bind git to one repository."""
    command = ["git", "rev-parse", "--local-env-vars"]
    return frozenset(subprocess.run(command, capture_output=True, text=True).stdout.split())


def environment() -> dict[str, str]:
    """The environment for a process that calls git, maybe in another repository.

    Git sets its local variables in every hook; they would redirect the call.
    """
    return {key: value for key, value in os.environ.items() if key not in local_variables()}


def output(*arguments: str, folder: Path = Path()) -> bytes:
    """Standard output of `git ARGUMENTS` in `folder`; PipelineError when it fails."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True)
    except OSError as error:
        raise PipelineError(f"cannot start git: {error}; install it, then run again") from None
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise PipelineError(f"{folder.resolve()}: `{' '.join(command)}`: {message}; {REMEDY}")
    return done.stdout


def copy_files(project: Path, folder: Path, *, left_out: Collection[str]) -> None:
    """Copy what a commit of everything in `project` would hold, all files but ignored ones.

    `left_out` are names of top-level files and folders.
    """
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in os.fsdecode(output(*listing, folder=project)).rstrip("\0").split("\0"):
        if Path(name).parts[0] not in left_out and (project / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
