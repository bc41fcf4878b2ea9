"""Git on the project: its environment, and the errors of a folder that it does not open."""

from pathlib import Path

import pytest
import workspace
from dvc.scm import SCMError

from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, git


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_variables_of_a_hook_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    workspace.run(repository, "git", "init", "--quiet")
    (repository / ".gitignore").write_text("ignored\n")
    for name in ("ümlaut", "ignored", "left"):
        (repository / name).touch()
    monkeypatch.setenv(variable, str(tmp_path / "other"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "kept")
    git.output("add", "--all", folder=repository)
    git.copy_files(repository, tmp_path / "copy", left_out=["left"])
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {".gitignore", "ümlaut"}
    assert not (tmp_path / "other").exists()
    assert git.environment()["GIT_AUTHOR_NAME"] == "kept"


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="git init"):
        git.output("status", folder=tmp_path)
    assert "git init" in str(dvc_project.unreadable(SCMError("/x is not a git repository")))
