"""Push and pull by the commands of docs/remotes.md: folder, S3 and SSH with real servers."""

import configparser
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import declared
import pytest
import servers
import workspace
import yaml
from conftest import PROJECT

CHANGED = "baseline"
TRAIN = "data/processed/train.npz"
MODEL = "models/deep.keras"  # of a variant that is not changed
RUN_BY_THE_CHANGE = [f"train@{CHANGED}", f"evaluate@{CHANGED}", "compare", "page"]
REPRO = ("dvc", "repro", "--pull", "--allow-missing")
DVC_ERROR = 255
pytestmark = pytest.mark.slow

# Deletes an object of the remote by its MD5.
DELETE = """
import os, sys
from dvc.repo import Repo
remote = Repo().cloud.get_remote_odb("storage", "delete")
path = remote.oid_to_path(sys.argv[1])
size = remote.fs.size(path)
remote.fs.rm_file(path)
"""

# Replaces it by other bytes. DVC trusts read-only files of a folder.
DAMAGE = f"""{DELETE}
remote.fs.pipe_file(path, bytes(size))
if remote.fs.protocol == "local":
    os.chmod(path, 0o444)
"""


@dataclass(frozen=True)
class Storage:
    """A remote."""

    commands: str  # those documented, with its own address
    secrets: tuple[str, ...]
    locked_out: dict[str, str]  # the environment in which it is unavailable
    refusal: str  # the message then


@dataclass(frozen=True)
class Author:
    """A repository after `dvc repro` and `dvc push`."""

    folder: Path
    storage: Storage

    def clone(self, place: Path) -> Path:
        """A clone at `place` with the remote set up and an empty cache."""
        workspace.run(self.folder, "git", "clone", "--quiet", str(self.folder), str(place))
        for line in self.storage.commands.splitlines():
            if "--local" in line:
                workspace.run(place, "sh", "-c", line)
        return place


@contextmanager
def _folder(place: Path, patch: pytest.MonkeyPatch) -> Iterator[Storage]:
    commands = _documented("/mnt/share/cifar10", str(place / "store"))
    yield Storage(commands, (), {}, "data/processed/train.npz")


@contextmanager
def _s3(place: Path, patch: pytest.MonkeyPatch) -> Iterator[Storage]:
    with servers.s3(place) as bucket:
        patch.setenv("AWS_ACCESS_KEY_ID", bucket.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret_key)
        commands = _documented("s3://bucket/", f"s3://{bucket.name}/").replace(
            "https://s3.example.org", bucket.endpoint
        )
        secrets = (bucket.access_key, bucket.secret_key)
        yield Storage(commands, secrets, {"AWS_SECRET_ACCESS_KEY": "wrong"}, "Forbidden")


@contextmanager
def _ssh(place: Path, patch: pytest.MonkeyPatch) -> Iterator[Storage]:
    with servers.ssh(place) as host:
        keys = place / "home/.ssh"
        keys.mkdir(parents=True)
        shutil.copy(host.private_key, keys / "id_ed25519")
        commands = _documented(
            "ssh://host.example.org/srv/cifar10", f"ssh://127.0.0.1:{host.port}{place}/store"
        )
        commands = re.sub(r"\bme$", host.user, commands, flags=re.M)
        secrets = tuple(host.private_key.read_text().splitlines()[1:-1])
        yield Storage(commands, secrets, {"HOME": str(place)}, "Permission denied")


PLACES: dict[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[Storage]]] = {
    "folder": _folder,
    "s3": _s3,
    "ssh": _ssh,
}


def _documented(example: str, place: str) -> str:
    """The commands of docs/remotes.md, with `place` instead of `example`."""
    text = (PROJECT / "docs/remotes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    setup, push = [block for block in blocks if example in block or "dvc push" in block]
    return (setup + push).replace(example, place)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage, a stub, after `dvc repro`; without a remote."""
    folder = tmp_path_factory.mktemp("reproduced") / "project"
    workspace.with_stub_stages(workspace.copy_project(folder))
    workspace.run(folder, "dvc", "repro")
    (folder / "ran.txt").unlink()
    workspace.run(folder, "git", "add", "--all")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "all variants")
    return folder


@pytest.fixture(scope="module", params=PLACES)
def author(
    request: pytest.FixtureRequest, reproduced: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Author]:
    """The repository after the documented commands of one remote."""
    place = tmp_path_factory.mktemp(request.param)
    folder = place / "author/project"
    shutil.copytree(reproduced, folder, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "home"))  # without the user's settings
        for name in ("SSH_AUTH_SOCK", "AWS_PROFILE", "AWS_ENDPOINT_URL", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        with PLACES[request.param](place, patch) as storage:
            workspace.run(folder, "sh", "-e", "-c", storage.commands)
            yield Author(folder, storage)


def test_nothing_secret_is_in_git(author: Author) -> None:
    config = configparser.ConfigParser()
    config.read(author.folder / ".dvc/config")
    remote = config["'remote \"storage\"'"]
    assert {"url", "verify"} <= set(remote) <= {"url", "verify", "endpointurl"}
    assert workspace.run(author.folder, "git", "status", "--porcelain") == ""
    commits = workspace.run(author.folder, "git", "rev-list", "--all").split()
    for secret in author.storage.secrets:
        search = ("git", "grep", "--fixed-strings", "-e", secret, *commits)
        assert workspace.run(author.folder, *search, expect=1) == ""


def test_a_clone_pulls_everything(author: Author, tmp_path: Path) -> None:
    clone = author.clone(tmp_path / "elsewhere/clone")
    workspace.run(clone, "dvc", "pull")
    for stage in declared.stages(clone).values():
        for out in stage.outs:
            assert _content(clone / out) == _content(author.folder / out), out
    assert "Data and pipelines are up to date." in workspace.run(clone, "dvc", "status")
    assert "nothing would run" in workspace.run(clone, "python", "-m", "pipeline.tools.plan")
    assert workspace.run(clone, "git", "status", "--porcelain") == ""


def test_the_best_model_comes_without_a_clone(author: Author, tmp_path: Path) -> None:
    workspace.run(author.folder, "git", "tag", "--annotate", "best@v1.0.0", "--message", "best")
    own = re.findall(r"modify --local storage (\w+) (\S+)", author.storage.commands)
    options = [f"--remote-config={name}={value}" for name, value in own]
    workspace.run(tmp_path, "dvc", "artifacts", "get", str(author.folder), "best", *options)
    assert _content(tmp_path / "best.keras") == _content(author.folder / "models/best.keras")


def test_a_changed_clone_pulls_only_its_inputs(author: Author, tmp_path: Path) -> None:
    clone = _changed(author.clone(tmp_path / "elsewhere/clone"))
    workspace.run(clone, *REPRO)
    assert _ran(clone) == RUN_BY_THE_CHANGE
    cached = {path.parent.name + path.name for path in (clone / ".dvc/cache/files").glob("*/*/*")}
    after = _hashes(clone)
    stages = declared.stages(clone)
    outs = {out for name in RUN_BY_THE_CHANGE for out in stages[name].outs} & after.keys()
    before = _hashes(author.folder)
    needed = {before[f"data/processed/{name}.npz"] for name in ("train", "validation", "test")}
    needed |= {before["data/processed/classes.txt"], before["models/fast.keras"]}
    assert cached - {after[out] for out in outs} == needed
    assert after[f"models/{CHANGED}.keras"] in cached


def test_an_unavailable_remote_stops_the_run(
    author: Author, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = _changed(author.clone(tmp_path / "elsewhere/clone"))
    for name, value in author.storage.locked_out.items():
        monkeypatch.setenv(name, value)
    if not author.storage.locked_out:
        elsewhere = ("dvc", "remote", "modify", "--local", "storage", "url")
        workspace.run(clone, *elsewhere, str(tmp_path / "not_mounted"))
    assert author.storage.refusal in workspace.run(clone, *REPRO, expect=DVC_ERROR)
    assert _ran(clone) == []
    assert author.storage.refusal in workspace.run(clone, "dvc", "pull", expect=1)
    assert not list(clone.glob("models/*"))


def test_a_missing_file_stops_the_run(author: Author, tmp_path: Path) -> None:
    clone = _changed(author.clone(tmp_path / "elsewhere/clone"))
    workspace.run(author.folder, "python", "-c", DELETE, _hashes(author.folder)[TRAIN])
    try:
        assert TRAIN in workspace.run(clone, *REPRO, expect=DVC_ERROR)
        assert _ran(clone) == []
    finally:
        workspace.run(author.folder, "dvc", "push")


def test_a_damaged_file_is_not_used(author: Author, tmp_path: Path) -> None:
    clone = author.clone(tmp_path / "elsewhere/clone")
    name = _hashes(author.folder)[MODEL]
    workspace.run(author.folder, "python", "-c", DAMAGE, name)
    assert MODEL in workspace.run(clone, "dvc", "pull", expect=1).partition("ERROR")[2]
    assert not (clone / MODEL).exists()
    assert not (clone / f".dvc/cache/files/md5/{name[:2]}/{name[2:]}").exists()
    workspace.run(author.folder, "dvc", "push")
    workspace.run(clone, "dvc", "pull", expect=1)

    workspace.run(author.folder, "python", "-c", DELETE, name)
    workspace.run(author.folder, "dvc", "push")
    workspace.run(clone, "dvc", "pull")
    assert _content(clone / MODEL) == _content(author.folder / MODEL)


def _changed(clone: Path) -> Path:
    """`clone` with another value of one parameter of one variant."""
    params = workspace.read_params(clone)
    params["variants"][CHANGED]["dense"] += 1
    workspace.write_params(clone, params)
    return clone


def _ran(clone: Path) -> list[str]:
    log = clone / "ran.txt"
    return log.read_text().split() if log.exists() else []


def _hashes(folder: Path) -> dict[str, str]:
    """The MD5 of each output by its path, from the dvc.lock of `folder`."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def _content(path: Path) -> dict[str, bytes]:
    """The files at or in `path`, by their relative paths."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
