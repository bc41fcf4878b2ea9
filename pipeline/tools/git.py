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
    names = _run(["rev-parse", "--local-env-vars"], Path(), dict(os.environ)).stdout
    return frozenset(names.decode().split())


def environment() -> dict[str, str]:
    """The environment for a process that may call git in another repository.

    Git sets its local variables in every hook; they would redirect the call to the hook's
    repository.
    """
    return {key: value for key, value in os.environ.items() if key not in local_variables()}


def output(*arguments: str, folder: Path | None = None) -> bytes:
    """Standard output of `git ARGUMENTS` in `folder`, by default the current one.

    Raises PipelineError when git is not installed or fails.
    """
    folder = (folder or Path()).resolve()
    # In English, as the messages are searched below; a read takes no lock on the index.
    done = _run(["--no-optional-locks", *arguments], folder, environment() | {"LC_ALL": "C"})
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        no_commit = any(text in message for text in ("not a git repository", "HEAD"))
        remedy = INIT if no_commit else "mend that, then run again"
        if "dubious ownership" in message:
            message = "it belongs to another user"
            remedy = f"`git config --global --add safe.directory '{folder}'`"
        raise PipelineError(f"{folder}: git {arguments[0]} failed: {message}; {remedy}")
    return done.stdout


def files(project: Path) -> list[str]:
    """Paths that a commit of everything in `project` would hold: all files but ignored ones."""
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return os.fsdecode(output(*listing, folder=project)).rstrip("\0").split("\0")


def _run(
    arguments: list[str], folder: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=folder, env=variables, capture_output=True)
    except OSError as error:
        raise PipelineError(f"cannot start git: {error}; install it, then run again") from None
