"""Run git on the project."""

import functools
import os
import subprocess
from pathlib import Path

from pipeline.base.errors import PipelineError

INIT = (
    "run in a clone of the project, or make this folder a repository: "
    "`git init && git add . && git commit -m start`"
)


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


def output(*arguments: str, folder: Path | None = None) -> bytes:
    """Standard output of `git ARGUMENTS` in `folder`, by default the current one.

    Raises PipelineError when git is not installed or fails.
    """
    folder = (folder or Path()).resolve()
    try:
        variables = environment() | {"LC_ALL": "C"}  # the messages below in English
        command = ["git", "--no-optional-locks", *arguments]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True)
    except OSError as error:
        raise PipelineError(f"cannot start git: {error}; install it, then run again") from None
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        no_commit = "not a git repository" in message or "HEAD" in message
        remedy = INIT if no_commit else "fix it, then run again"
        raise PipelineError(f"{folder}: git {arguments[0]} failed: {message}; {remedy}")
    return done.stdout


def files(project: Path) -> list[str]:
    """Paths that a commit of everything in `project` would hold: all files but ignored ones."""
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return os.fsdecode(output(*listing, folder=project)).rstrip("\0").split("\0")
