"""Copies of the project in temporary folders, as real DVC repositories, for tests of the graph."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from conftest import PROJECT

COPIED = ("dvc.yaml", "params.yaml", "pipeline", "requirements", ".gitignore", ".dvcignore")

# A stage that is quick and honest: what it writes follows from what dvc.yaml lets it read, less
# comments, so that a change of a comment leaves its outputs' bytes equal.
STUB = Path(__file__).parent / "stub_stage.py"


def copy_project(folder: Path) -> Path:
    """The project's tracked inputs in `folder`, as a fresh git and DVC repository."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    shutil.copy(PROJECT / ".dvc/config", folder / ".dvc/config")
    return folder


def with_stub_stages(folder: Path) -> Path:
    """The copy at `folder` with the dispatcher replaced by one that runs stub stages."""
    shutil.copy(STUB, folder / "pipeline" / "__main__.py")
    return folder


def write_params(folder: Path, params: dict[str, Any]) -> None:
    """`params` as the params.yaml of `folder`, the keys in their order."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run(folder: Path, *command: str, expect: int = 0) -> str:
    """The standard output and error of `command` in `folder`; fails on another exit status.

    DVC's notes on the project, by default under /var/tmp, go beside `folder`.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment(), "DVC_SITE_CACHE_DIR": str(folder.parent / "site")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == expect, f"{command} exited {done.returncode}:\n{done.stdout}"
    return done.stdout


def environment() -> dict[str, str]:
    """The caller's environment with this interpreter's folder first, as an active venv has it."""
    folder = str(Path(sys.executable).parent)
    identity = {
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
    }
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **identity, "PATH": path, "DVC_NO_ANALYTICS": "1"}
