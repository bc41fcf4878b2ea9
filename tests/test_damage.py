"""Damaged files in DVC's cache, among the outputs and in .dvc, with the real DVC."""

import os
import re
import shlex
from pathlib import Path

import pytest
import workspace
from dvc.lock import Lock

from pipeline.core.errors import PipelineError
from pipeline.tools import lockfile

MODEL = "models/final.keras"
CHECK = ("python", "-m", "pipeline.tools.repository", "check")


@pytest.fixture(autouse=True)
def hashed(reproduced: Path) -> None:
    """DVC has recorded the hash of every file."""
    assert "up to date" in workspace.run(reproduced, "dvc", "status")


def cached(md5: str) -> Path:
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def cached_output(path: str) -> Path:
    (md5,) = (outs[path] for outs in lockfile.read_outputs().values() if path in outs)
    return cached(md5)


def flip(path: Path) -> None:
    """Flip one bit of `path`; mode, size and times stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def outputs() -> dict[str, bytes]:
    """The content of each output and of dvc.lock by its path."""
    paths = [path for name in ("data", "models", "reports") for path in Path(name).rglob("*")]
    paths.append(Path("dvc.lock"))
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


def damaged(reproduced: Path, remedy: str) -> set[str]:
    """The files and folders that the check names, with this `remedy`."""
    message = workspace.run(reproduced, *CHECK, expect=1)
    assert remedy in message
    (paths,) = re.findall("repository: (.*?): expected", message)
    return set(shlex.split(paths))


def restore(reproduced: Path, before: dict[str, bytes]) -> set[str]:
    """`dvc repro` must give the outputs of `before`; returns the stages that it ran."""
    runs = len(Path("ran.txt").read_text().split())
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    workspace.run(reproduced, *CHECK)
    assert outputs() == before
    return set(Path("ran.txt").read_text().split()[runs:])


def test_damage_in_the_cache_is_found_before_and_after_checkout(reproduced: Path) -> None:
    """A model that DVC has checked out, a file of a folder, and the folder's list."""
    before = outputs()
    raw = cached_output("data/raw")
    inside = re.findall('"md5": "(.*?)"', raw.read_text())
    flipped = [cached_output(MODEL), raw, *map(cached, inside)]
    for path in flipped:
        flip(path)
    Path(MODEL).unlink()
    workspace.run(reproduced, "dvc", "checkout", "--quiet", MODEL)
    assert "up to date" in workspace.run(reproduced, "dvc", "status", "train@final")
    assert damaged(reproduced, "`rm -f .dvc/") == set(map(str, flipped))
    for path in flipped:
        path.unlink()
    assert damaged(reproduced, "`dvc repro`") == {MODEL}
    assert "train@final" in restore(reproduced, before)


def test_damaged_outputs_while_the_cache_is_sound(reproduced: Path) -> None:
    before = outputs()
    flipped = ("data/raw/data_batch_1.bin", MODEL, "reports/variants/final/metrics.json")
    for path in flipped:
        flip(Path(path))
    Path("data/processed/test.npz").write_text("changed")  # which DVC notices
    for name in (".DS_Store", "stage.py~"):  # no damage
        Path("pipeline/training", name).write_text("not of the project")
    assert damaged(reproduced, "`dvc repro`") == {"data/raw", *flipped[1:]}
    assert restore(reproduced, before) <= {"fetch", "explore", "export"}


@pytest.mark.parametrize("then", ["dvc add --quiet", "dvc checkout --force"])
def test_tracked_data_changed_in_place(reproduced: Path, then: str) -> None:
    photo = Path("photos/cat/0 1.jpg")
    photo.parent.mkdir(parents=True)
    for path in (photo, photo.with_name("2.jpg")):
        path.write_text(path.name * 100)
    workspace.run(reproduced, "dvc", "add", "--quiet", "photos")
    content = photo.read_text()
    flip(photo)
    assert damaged(reproduced, "`dvc add`") == {"photos"}
    workspace.run(reproduced, *then.split(), "photos")
    assert (photo.read_text() == content) is ("checkout" in then)
    workspace.run(reproduced, *CHECK)


def test_damaged_lock_file(reproduced: Path) -> None:
    before = outputs()
    for content in ("stages:\n<<<<<<< HEAD", ""):
        Path("dvc.lock").write_text(content)
        with pytest.raises(PipelineError, match=r"dvc\.lock: .*damaged"):
            lockfile.read_outputs()
    for command in (CHECK, ("python", "-m", "pipeline.tools.plan")):
        message = workspace.run(reproduced, *command, expect=1)
        assert message.strip().endswith(lockfile.REMEDY)
    workspace.run(reproduced, "git", "checkout", "HEAD", "--", "dvc.lock")
    assert restore(reproduced, before) <= {"fetch", "explore", "export"}


def test_another_dvc_at_work(reproduced: Path) -> None:
    with Lock(".dvc/tmp/lock"):
        assert "lock" in workspace.run(reproduced, *CHECK, expect=1)
    Path(".dvc/tmp/lock").write_text(" 999999\n")  # of a dvc that was killed
    workspace.run(reproduced, *CHECK)
