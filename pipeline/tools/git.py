"""Run git on the project."""

import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from pipeline.core.errors import PipelineError

REMEDY = "fix it, then run again in a clone of the project, or after `git init` and a first commit"


def output(*arguments: str, folder: Path = Path()) -> bytes:
    """Standard output of `git ARGUMENTS` in `folder`; PipelineError with its error output."""
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True)
    if done.returncode:
        message = (done.stderr or done.stdout).decode(errors="replace").strip()
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
