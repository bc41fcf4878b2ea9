"""Git on the project: its environment, and the errors of a folder that it does not open."""

from pathlib import Path

import pytest
import workspace
from dvc.scm import SCMError

from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    workspace.run(folder, "git", "init", "--quiet")
    (folder / ".gitignore").write_text("ignored\n")
    for name in ("ümlaut", "ignored", "left"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_variables_of_a_hook_are_dropped(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "other"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "kept")
    git.output("add", "--all", folder=repository)
    git.copy_files(repository, tmp_path / "copy", left_out=["left"])
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {".gitignore", "ümlaut"}
    assert not (tmp_path / "other").exists()
    assert git.environment()["GIT_AUTHOR_NAME"] == "kept"


def test_folders_that_git_does_not_open(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PipelineError, match="git init"):
        git.output("status", folder=tmp_path)
    with pytest.raises(PipelineError, match="absent"):
        git.output("fetch", "absent", folder=repository)
    assert "git init" in str(dvc_project.unreadable(SCMError("/x is not a git repository")))
    git.local_variables()  # cached
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match="cannot start git"):
        git.output("status", folder=tmp_path)
