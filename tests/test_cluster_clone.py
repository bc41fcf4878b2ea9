"""The clones that a worker's machine keeps, and its patience with what is out of reach."""

from pathlib import Path

import pytest
import workspace

from pipeline.cluster import clone


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    workspace.run(tmp_path, "git", "init", "--quiet", str(folder))
    (folder / ".gitignore").write_text("/models/\n")
    workspace.run(folder, "git", "add", ".")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "test")
    return folder


def test_a_clone_is_kept_without_what_another_commit_left(repository: Path) -> None:
    commit = workspace.run(repository, "git", "rev-parse", "HEAD").strip()
    with clone.cloned(str(repository), commit) as folder:
        (folder / "models").mkdir()
        (folder / "models/best.keras").touch()
        (folder / "metrics.json").touch()
        (folder / ".gitignore").write_text("/models/\n# changed\n")
        with clone.cloned(str(repository), commit) as other:
            assert other != folder  # which is in use
    with clone.cloned(str(repository), commit) as again:
        assert again == folder
        assert (again / "models/best.keras").exists()
        assert not (again / "metrics.json").exists()
        assert (again / ".gitignore").read_text() == "/models/\n"


def test_what_git_says_of_a_repository_that_is_not_there(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cluster.clone.time.sleep", lambda _: None)
    with (
        pytest.raises(RuntimeError, match=r"git clone failed: .*absent"),
        clone.cloned(str(repository / "absent"), "HEAD"),
    ):
        pass


@pytest.mark.parametrize(("full", "pauses"), [(False, [1, 2]), (True, [])])
def test_what_fails_is_tried_again_unless_the_disk_is_full(
    full: bool, pauses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[int] = []
    monkeypatch.setattr("pipeline.cluster.clone.time.sleep", slept.append)
    monkeypatch.setattr(clone, "LEAST_MEBIBYTES", 2**40 if full else 0)
    outcomes = iter(["no route", "no route", ""])

    wrong = clone.patiently(lambda: next(outcomes), (1, 2, 4))

    assert slept == pauses
    assert wrong == ("no route" if full else "")
