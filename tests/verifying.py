"""Small repositories with committed results of stub stages, for the tests of verify."""

import shutil
import tempfile
from pathlib import Path

import pytest
import workspace

STUB = Path(__file__).parent / "stub_training.py"
VARIANTS = ("baseline", "fast")


def committed(folder: Path) -> Path:
    """A new repository in `folder` with the results of VARIANTS; tests work on copies."""
    workspace.copy_project(folder)
    shutil.copy(STUB, folder / "pipeline/__main__.py")
    workspace.drop_variants(folder, *set(workspace.read_params(folder)["variants"]) - set(VARIANTS))
    workspace.run(folder, "dvc", "repro", *(f"evaluate@{name}" for name in VARIANTS))
    shutil.rmtree(folder / ".dvc/cache")
    commit(folder)
    return folder


def copied(committed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in `folder`, as the current folder; temporary folders are made beside it."""
    shutil.copytree(committed, folder)
    monkeypatch.chdir(folder)
    temporary_beside(folder, monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR again
    return folder


def commit(folder: Path) -> None:
    """Commit everything in `folder`."""
    workspace.run(folder, "git", "add", "--all")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "results")


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """The time and the bytes of every file below `folder`, less what Python compiles."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def temporary_beside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have temporary folders made in a folder beside `project`."""
    folder = project.parent / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))


def temporary(project: Path) -> list[Path]:
    """What is left in the folder of `temporary_beside`."""
    return list((project.parent / "temporary").iterdir())
