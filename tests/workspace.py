"""Copies of the project in temporary folders, as DVC repositories."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import yaml
from conftest import PROJECT

# Together they have every operation of a training: Adam, dropout and images of 2x2 pixels; SGD,
# flips, rotation and zoom; Muon, batch normalization, shifts and progressive resizing.
KINDS = ("deep", "sgd", "fast")

COPIED = (
    *("dvc.yaml", "params.yaml", "pipeline", "requirements", ".gitignore", ".dvcignore"),
    "benchmarks/unlike.csv",
)


def copy_project(folder: Path) -> Path:
    """A new git and DVC repository with the project's tracked inputs."""
    folder.mkdir(parents=True)
    copy_files(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    shutil.copy(PROJECT / ".dvc/config", folder / ".dvc/config")
    return folder


def copy_files(folder: Path) -> None:
    """Copy the project's tracked inputs to `folder`."""
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, folder / name)


def with_stub_stages(folder: Path, *variants: str) -> Path:
    """Replace the dispatcher of the copy at `folder`, and keep `variants` where any are named."""
    shutil.copy(PROJECT / "tests/stub_stage.py", folder / "pipeline/__main__.py")
    if variants:
        drop_variants(folder, *read_params(folder)["variants"].keys() - set(variants))
    return folder


def write_params(folder: Path, params: dict[str, Any]) -> None:
    """Write params.yaml; missing variants of the page are replaced by the first."""
    first, page = next(iter(params["variants"])), params["page"]
    variant, *others = (
        name if name in params["variants"] else first
        for name in (page["variant"], *page["compared_with"])
    )
    params = params | {"page": page | {"variant": variant, "compared_with": others}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def read_params(folder: Path) -> dict[str, Any]:
    """The params.yaml of `folder`."""
    content: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text())
    return content


def drop_variants(folder: Path, *names: str) -> None:
    """Remove variants from params.yaml."""
    params = read_params(folder)
    for name in names:
        del params["variants"][name]
    write_params(folder, params)


def commit(folder: Path) -> Path:
    """Commit everything in `folder`."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "test")
    return folder


def light(params: dict[str, Any]) -> dict[str, Any]:
    """`params` with narrow airbench networks and at most one epoch of smaller images."""
    for variant in params["variants"].values():
        if variant["network"] == "airbench":
            variant["widths"] = [8, 8, 8]
    for recipe in params["recipes"].values():
        if recipe["progressive_resizing"]:
            recipe["progressive_resizing"] = {"px24": 1}
    return params


def run(folder: Path, *command: str, expect: int = 0) -> str:
    """The standard output and error of `command` in `folder`; fails on another exit status.

    Through a file: a pipe would stay open until the last background worker of DVC ends.
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


def run_code(code: str, *arguments: str, **variables: str) -> None:
    """Run Python `code`, which finds this project, in a new process in the current folder."""
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), **variables}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=variables)


def environment() -> dict[str, str]:
    """The environment with this interpreter first in PATH, and an author for git."""
    folder = str(Path(sys.executable).parent)
    identity = {f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")}
    identity |= {f"GIT_{role}_EMAIL": "test@example.org" for role in ("AUTHOR", "COMMITTER")}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **identity, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def left_in(folder: Path) -> list[psutil.Process]:
    """The processes whose current folder is `folder`, after ten seconds in which killed ones end.

    That takes them milliseconds where the machine is idle.
    """
    for _ in range(200):
        running = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]
        left = [process for process in running if process.pid != os.getpid()]
        if not left:
            break
        time.sleep(0.05)
    return left
