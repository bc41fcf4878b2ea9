"""What is said where git does not open the project."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import workspace
from dvc.scm import SCMError

from pipeline.base.errors import PipelineError
from pipeline.tools import dvc_project, git


def test_prints_what_git_prints_in_the_folder(tmp_path: Path) -> None:
    workspace.run(tmp_path, "git", "init", "--quiet")
    (tmp_path / "ümlaut").touch()
    found = git.output("ls-files", "-z", "--others", folder=tmp_path)
    assert os.fsdecode(found) == "ümlaut\0"


def test_folder_without_a_repository_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"not a git repository.*`git init && git add \."):
        git.output("status", folder=tmp_path)


def test_plan_says_the_same_of_a_folder_without_a_repository() -> None:
    said = str(dvc_project.unreadable(SCMError("/x is not a git repository")))
    assert "`git init && git add ." in said
    assert "mend that first" not in said


def test_repository_of_another_user_has_one_remedy(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    workspace.run(tmp_path, "git", "init", "--quiet")
    for path in (tmp_path, tmp_path / ".git"):
        shutil.chown(path, 65534)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LC_ALL", "de_DE.UTF-8")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # a user's own may trust every folder
        with pytest.raises(PipelineError) as caught:
            git.output("status", folder=tmp_path)
    said = str(caught.value)
    assert said.endswith(f"`git config --global --add safe.directory '{tmp_path}'`")
    assert "git init" not in said
    assert len(said.splitlines()) == 1


def test_no_git_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "git")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(PipelineError, match=r"cannot start git: .*; install it"):
        git.output("status", folder=tmp_path)
