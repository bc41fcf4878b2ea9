"""Copies of the project in temporary folders, as real DVC repositories, for tests of the graph."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from conftest import PROJECT

# Every operation that a training computes is in one of these: Adam, dropout and images of 2x2
# pixels; SGD, both flips, rotation and zoom; Muon, batch normalisation, shifts and growing images.
KINDS = ("deep", "sgd", "fast")

COPIED = (
    *("dvc.yaml", "params.yaml", "pipeline", "requirements", ".gitignore", ".dvcignore"),
    "reports/training_times.csv",
)

# A stage that is quick and honest: what it writes follows from what dvc.yaml lets it read, less
# comments, so that a change of a comment leaves its outputs' bytes equal.
STUB = Path(__file__).parent / "stub_stage.py"


def copy_project(folder: Path) -> Path:
    """The project's tracked inputs in `folder`, as a fresh git and DVC repository."""
    folder.mkdir(parents=True)
    copy_files(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    shutil.copy(PROJECT / ".dvc/config", folder / ".dvc/config")
    return folder


def copy_files(folder: Path) -> None:
    """The project's tracked inputs in `folder`."""
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, folder / name)


def with_stub_stages(folder: Path) -> Path:
    """The copy at `folder` with the dispatcher replaced by one that runs stub stages."""
    shutil.copy(STUB, folder / "pipeline" / "__main__.py")
    return folder


def write_params(folder: Path, params: dict[str, Any]) -> None:
    """`params` as the params.yaml of `folder`, the keys in their order.

    A page whose variant is not among them carries the first.
    """
    if params["page"]["variant"] not in params["variants"]:
        page = params["page"] | {"variant": next(iter(params["variants"]))}
        params = params | {"page": page}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def read_params(folder: Path) -> dict[str, Any]:
    """The params.yaml of `folder`, to be changed."""
    content: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text())
    return content


def drop_variants(folder: Path, *names: str) -> None:
    """Take variants out of the params.yaml of `folder`."""
    params = read_params(folder)
    for name in names:
        del params["variants"][name]
    write_params(folder, params)


def light(params: dict[str, Any]) -> dict[str, Any]:
    """`params` with whitened networks that are narrow."""
    variants = {
        name: variant | ({"widths": [8, 8, 8]} if variant["network"] == "whitened" else {})
        for name, variant in params["variants"].items()
    }
    return params | {"variants": variants}


def run(folder: Path, *command: str, expect: int = 0) -> str:
    """The standard output and error of `command` in `folder`; fails on another exit status.

    DVC's notes on the project, by default under /var/tmp, go beside `folder`. The output goes
    through a file: a pipe would be open until the last background worker of DVC had ended.
    """
    with tempfile.TemporaryFile("w+") as file:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**environment(), "DVC_SITE_CACHE_DIR": str(folder.parent / "site")},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
        file.seek(0)
        output = file.read()
    assert done.returncode == expect, f"{command} exited {done.returncode}:\n{output}"
    return output


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
