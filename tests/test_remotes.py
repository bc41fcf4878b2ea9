"""Push and pull by the commands of docs/remotes.md: folder, S3 and SSH with real servers."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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


@dataclass(frozen=True)
class Author:
    """A repository after `dvc repro`, the documented `commands` of a remote, and `dvc push`."""

    folder: Path
    commands: str
    unavailable: str  # another address, without a remote

    def clone(self, place: Path) -> Path:
        """A clone at `place` with the remote set up and an empty cache."""
        workspace.run(self.folder, "git", "clone", "--quiet", str(self.folder), str(place))
        for line in self.commands.splitlines():
            if "--local" in line:
                workspace.run(place, "sh", "-c", line)
        return place

    def changed_clone(self, place: Path) -> Path:
        """A clone with another value of one parameter of one variant."""
        clone = self.clone(place)
        params = workspace.read_params(clone)
        params["variants"][CHANGED]["dense"] += 1
        workspace.write_params(clone, params)
        return clone


@contextmanager
def _author(kind: str, place: Path, folder: Path) -> Iterator[Author]:
    """The author of `folder` with a remote of this kind, whose server runs in `place`."""
    if kind == "folder":
        commands = _documented("/mnt/share/cifar10", f"{place}/store")
        yield Author(folder, commands, f"{place}/not_mounted")
    elif kind == "s3":
        with servers.s3(place) as endpoint:
            commands = _documented("https://s3.example.org", endpoint)
            yield Author(folder, commands, "s3://absent/cifar10")
    else:
        with servers.ssh(place) as (server, user):
            key = place / "home/.ssh/id_ed25519"
            key.parent.mkdir(parents=True)
            shutil.copy(place / "user_key", key)
            address = f"ssh://{server}{place}/store"
            commands = _documented("ssh://host.example.org/srv/cifar10", address)
            commands = re.sub(r"\bme$", user, commands, flags=re.M)
            yield Author(folder, commands, "ssh://127.0.0.1:1/store")


def _documented(example: str, address: str) -> str:
    """The commands of docs/remotes.md, with `address` instead of `example`."""
    text = (PROJECT / "docs/remotes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    setup, push = [block for block in blocks if example in block or "dvc push" in block]
    return (setup + push).replace(example, address)


@pytest.fixture(scope="module", params=["folder", "s3", "ssh"])
def author(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Author]:
    """A repository of stub stages after `dvc repro` and the documented commands of one remote."""
    place = tmp_path_factory.mktemp(request.param)
    folder = workspace.copy_project(place / "author/project")
    workspace.with_stub_stages(folder, CHANGED, "fast", "deep", "best")
    workspace.run(folder, "dvc", "repro", "--quiet")
    (folder / "ran.txt").unlink()
    workspace.commit(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "home"))  # without the user's settings
        for name in ("SSH_AUTH_SOCK", "AWS_PROFILE", "AWS_ENDPOINT_URL", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        for name, value in servers.KEY.items():
            patch.setenv(name, value)
        with _author(request.param, place, folder) as author:
            workspace.run(folder, "sh", "-e", "-c", author.commands)
            yield author


def test_a_clone_pulls_everything(author: Author, tmp_path: Path) -> None:
    clone = author.clone(tmp_path / "elsewhere/clone")
    workspace.run(clone, "dvc", "pull")
    for out in _hashes(clone):
        same = ("diff", "--recursive", str(clone / out), str(author.folder / out))
        assert workspace.run(clone, *same) == ""
    assert "Data and pipelines are up to date." in workspace.run(clone, "dvc", "status")
    assert "nothing would run" in workspace.run(clone, "python", "-m", "pipeline.tools.plan")
    assert workspace.run(clone, "git", "status", "--porcelain") == ""
    config = re.findall(r"^ *(\w+) =", (clone / ".dvc/config").read_text(), re.M)
    allowed = {"remote", "url", "verify", "endpointurl"}  # no secrets
    assert set(config) <= {"analytics", "check_update", *allowed}


def test_the_best_model_comes_without_a_clone(author: Author, tmp_path: Path) -> None:
    workspace.run(author.folder, "git", "tag", "--annotate", "best@v1.0.0", "--message", "best")
    own = re.findall(r"modify --local storage (\w+) (\S+)", author.commands)
    options = [f"--remote-config={name}={value}" for name, value in own]
    workspace.run(tmp_path, "dvc", "artifacts", "get", str(author.folder), "best", *options)
    model = (author.folder / "models/best.keras").read_bytes()
    assert (tmp_path / "best.keras").read_bytes() == model


def test_a_changed_clone_pulls_only_its_inputs(author: Author, tmp_path: Path) -> None:
    clone = author.changed_clone(tmp_path / "elsewhere/clone")
    workspace.run(clone, *REPRO)
    assert _ran(clone) == RUN_BY_THE_CHANGE
    cached = {path.parent.name + path.name for path in (clone / ".dvc/cache/files").glob("*/*/*")}
    before, after = _hashes(author.folder), _hashes(clone)
    stages = declared.stages(clone)
    outs = {out for name in RUN_BY_THE_CHANGE for out in stages[name].outs} & after.keys()
    needed = {before[f"data/processed/{name}.npz"] for name in ("train", "validation", "test")}
    needed |= {before["data/processed/classes.txt"]}
    needed |= {before[f"models/fast.{kind}"] for kind in ("keras", "tflite")}  # for the page
    assert cached - {after[out] for out in outs} == needed
    assert after[f"models/{CHANGED}.keras"] in cached


def test_an_unavailable_remote_stops_the_run(author: Author, tmp_path: Path) -> None:
    clone = author.changed_clone(tmp_path / "elsewhere/clone")
    move = ("dvc", "remote", "modify", "--local", "storage", "url", author.unavailable)
    workspace.run(clone, *move)
    workspace.run(clone, *REPRO, expect=DVC_ERROR)
    assert _ran(clone) == []
    workspace.run(clone, "sh", "-c", "! dvc pull")  # the status depends on the remote
    assert not list(clone.glob("models/*"))


@pytest.mark.parametrize("author", ["folder"], indirect=True)
def test_a_missing_or_damaged_file_is_named_and_not_used(author: Author, tmp_path: Path) -> None:
    store, hashes = author.folder.parents[1] / "store/files/md5", _hashes(author.folder)
    train, model = (store / hashes[path][:2] / hashes[path][2:] for path in (TRAIN, MODEL))
    train.unlink()
    clone = author.changed_clone(tmp_path / "elsewhere/clone")
    assert TRAIN in workspace.run(clone, *REPRO, expect=DVC_ERROR)
    assert _ran(clone) == []
    workspace.run(author.folder, "dvc", "push")

    model.chmod(0o644)
    model.write_bytes(bytes(model.stat().st_size))
    model.chmod(0o444)  # DVC trusts read-only files of a folder
    assert MODEL in workspace.run(clone, "dvc", "pull", expect=1).partition("ERROR")[2]
    assert not (clone / MODEL).exists()
    workspace.run(author.folder, "dvc", "push")
    workspace.run(clone, "dvc", "pull", expect=1)

    model.unlink()
    workspace.run(author.folder, "dvc", "push")
    workspace.run(clone, "dvc", "pull")
    assert (clone / MODEL).read_bytes() == (author.folder / MODEL).read_bytes()


def _ran(clone: Path) -> list[str]:
    log = clone / "ran.txt"
    return log.read_text().split() if log.exists() else []


def _hashes(folder: Path) -> dict[str, str]:
    """The MD5 of each output by its path, from the dvc.lock of `folder`."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}
