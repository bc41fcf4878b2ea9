"""Small repositories with committed results for tests of verify, made by stub stages."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import declared
import pytest
import workspace
import yaml

from pipeline.tools import recorded, verify_committed

STUB = Path(__file__).parent / "stub_training.py"
VARIANTS = ("baseline", "final", "fast")


def committed(folder: Path) -> Path:
    """A new repository in `folder` with the results of VARIANTS; tests work on copies."""
    workspace.copy_project(folder)
    shutil.copy(STUB, folder / "pipeline/__main__.py")
    workspace.run(folder, "python", "-m", "pipeline", "preprocess")
    for variant in VARIANTS:
        workspace.run(folder, "python", "-m", "pipeline", "train", variant)
        workspace.run(folder, "python", "-m", "pipeline", "evaluate", variant)
    lock(folder)
    commit(folder)
    return folder


def copied(committed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in `folder`, as the current one; temporary folders are made beside it."""
    shutil.copytree(committed, folder, symlinks=True)
    monkeypatch.chdir(folder)
    temporary_beside(folder, monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", None)  # read it anew
    monkeypatch.setattr(verify_committed, "unfixed", lambda *_: ["this has a GPU"])
    return folder


def lock(folder: Path) -> None:
    """The dvc.lock that DVC would write after running what verify looks at."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for compiled in folder.rglob("__pycache__"):  # which DVC does not count either
        shutil.rmtree(compiled)
    entries = {}
    for name, stage in declared.stages(folder).items():
        if all((folder / path).exists() for path in stage.outs):
            entries[name] = {
                "deps": _digests(folder, stage.deps),
                "outs": _digests(folder, stage.outs),
                "params": {"params.yaml": {key: _value(params, key) for key in stage.params}},
            }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": entries}))


def commit(folder: Path) -> None:
    """Commit all that `folder` has."""
    workspace.run(folder, "git", "add", ".")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "results")


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """The time and the bytes of every file below `folder`, less what Python compiles."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def temporary_beside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have temporary folders made in one beside `project`."""
    folder = project.parent / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))


def temporary(project: Path) -> list[Path]:
    """What is left where `temporary_beside` has temporary folders made."""
    return list((project.parent / "temporary").iterdir())


def _digests(folder: Path, paths: Iterable[str]) -> list[dict[str, str | None]]:
    digests = {path: recorded.digest(folder / path) for path in paths}
    return [{"path": path, "md5": digest} for path, digest in digests.items() if digest]


def _value(params: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        params = params[key]
    return params
