"""Git on the project: its environment, and the errors of a folder that it does not open."""

import os
from pathlib import Path

import pytest
import workspace
from dvc.scm import SCMError

from pipeline.base.errors import PipelineError
from pipeline.tools import dvc_project, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    workspace.run(folder, "git", "init", "--quiet")
    (folder / ".gitignore").write_text("ignored\n")
    for name in ("ümlaut", "ignored"):
        (folder / name).touch()
    return folder


def test_output_and_files(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git.files(repository) == [".gitignore", "ümlaut"]
    monkeypatch.chdir(repository)
    assert os.fsdecode(git.output("ls-files", "-z", "--others", "ü*")) == "ümlaut\0"


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_variables_of_a_hook_are_dropped(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "other"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "kept")
    git.output("add", "--all", folder=repository)
    assert git.files(repository) == [".gitignore", "ümlaut"]
    assert not (tmp_path / "other").exists()
    assert variable not in git.environment()
    assert git.environment()["GIT_AUTHOR_NAME"] == "kept"


def test_folders_that_git_does_not_open(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="`git init && git add"):
        git.output("status", folder=tmp_path)
    with pytest.raises(PipelineError, match="`git init && git add"):
        git.output("rev-parse", "HEAD", folder=repository)
    with pytest.raises(PipelineError, match=r"git fetch failed: .*absent") as caught:
        git.output("fetch", "absent", folder=repository)
    assert "git init" not in str(caught.value)
    error = SCMError("/x is not a git repository")
    assert "`git init && git add" in str(dvc_project.unreadable(error))


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git.local_variables()  # cached
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match="cannot start git"):
        git.output("status", folder=tmp_path)
