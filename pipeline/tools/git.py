"""What git says of the project, or what to do where it says nothing."""

import os
import subprocess
from pathlib import Path

from pipeline.base.errors import PipelineError

MAKE_ONE = (
    "run in a clone of the project, or make a repository of this folder: "
    "`git init && git add . && git commit -m start`"
)


def output(*arguments: str, folder: Path | None = None) -> bytes:
    """What git prints in `folder`, by default the current one; it writes nothing, not its index.

    Raises PipelineError when there is no git, or no repository with a commit that it opens.
    """
    place = (folder or Path()).resolve()
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=place,
            env={**os.environ, "LC_ALL": "C"},  # its words are looked at below
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise PipelineError(f"cannot start git: {error}; install it, then run again") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        if "dubious ownership" in said:
            raise PipelineError(
                f"{place}: expected a repository of your own, found another user's, which git does "
                f"not open unless told to: `git config --global --add safe.directory '{place}'`"
            )
        raise PipelineError(
            f"{place}: expected the top folder of a git repository with a commit; git "
            f"says: {said}; {MAKE_ONE}"
        )
    return done.stdout


def files(project: Path) -> list[str]:
    """What a commit of everything in `project` would hold, but for what is ignored."""
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return os.fsdecode(output(*listing, folder=project)).rstrip("\0").split("\0")
