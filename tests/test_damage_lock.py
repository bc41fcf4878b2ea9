"""Lock files that are half-written, in conflict or left behind, with the real DVC."""

import re
from pathlib import Path

import pytest
import workspace
from dvc.lock import Lock

from pipeline.tools import intact

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
REMEDY = (
    "; take the committed one, `git checkout HEAD -- dvc.lock`, or delete it where there is none; "
    "then run `dvc repro`, which finds in DVC's cache what was made since\n"
)


def cut(bytes_left: int) -> None:
    LOCK.write_bytes(LOCK.read_bytes()[:bytes_left])


def whole_again(reproduced: Path, lock: str) -> None:
    """DVC needs to run nothing that it remembers, and records what it had recorded."""
    before = Path("ran.txt").read_text().split()
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    ran = Path("ran.txt").read_text().split()[len(before) :]
    assert set(ran) <= {"fetch", "explore"}  # seconds; their runs are not kept
    assert LOCK.read_text() == lock
    assert "all" in workspace.run(reproduced, "python", "-m", "pipeline.tools.intact")


COMMANDS = {
    "pipeline.tools.intact": "intact: DVC cannot read this project: ",
    "pipeline.tools.plan": "plan: DVC cannot read this project: ",
    "pipeline.predict photo.png": "predict: dvc.lock: expected the record of the stages' last runs",
}


@pytest.mark.parametrize(
    ("damage", "mended_by"),
    [
        ("empty", "git"),
        pytest.param("in a key", "deletion", marks=pytest.mark.slow),
        pytest.param("in an entry", "git", marks=pytest.mark.slow),
        pytest.param("zeros", "deletion", marks=pytest.mark.slow),
        pytest.param("other bytes", "git", marks=pytest.mark.slow),
    ],
)
def test_damaged_lock_file(reproduced: Path, damage: str, mended_by: str) -> None:
    lock = LOCK.read_text()
    content = {
        "empty": "",
        "in a key": lock[:5],
        "in an entry": lock[: lock.index("path:") + 2],
        "zeros": "\0" * 4096,
        "other bytes": "\udcff\udcfe",
    }[damage]
    LOCK.write_bytes(content.encode("utf-8", "surrogateescape"))
    for command, beginning in COMMANDS.items():
        status = 2 if command == "pipeline.tools.plan" else 1
        said = workspace.run(reproduced, "python", "-m", *command.split(), expect=status)
        assert said.startswith(beginning)
        assert "dvc.lock" in said
        assert said.endswith(REMEDY)
    if mended_by == "git":
        (command,) = re.findall("`(git .*?)`", said)
        workspace.run(reproduced, *command.split())
    else:
        LOCK.unlink()
    whole_again(reproduced, lock)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.99])
def test_lock_file_cut_off_where_it_can_still_be_read(reproduced: Path, share: float) -> None:
    """What is lost counts as never run, or as changed: DVC looks for it in its run cache."""
    lock = LOCK.read_text()
    lines = lock.splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if line.strip().startswith("size:")]
    LOCK.write_text("".join(lines[: ends[int(share * len(ends))] + 1]))
    workspace.run(reproduced, "python", "-m", "pipeline.tools.intact")
    whole_again(reproduced, lock)


@pytest.mark.slow
def test_lock_file_in_conflict(reproduced: Path) -> None:
    """After a merge that git could not finish by itself."""
    lock = LOCK.read_text()
    for branch, start in (("theirs", "HEAD"), ("ours", "HEAD~1")):
        workspace.run(reproduced, "git", "checkout", "--quiet", "-b", branch, start)
        LOCK.write_text(re.sub(r"md5: \w+", f"md5: {branch}", lock, count=1))
        workspace.run(reproduced, "git", "commit", "--quiet", "--all", "--message", branch)
    workspace.run(reproduced, "git", "merge", "theirs", expect=1)
    assert "<<<<<<<" in LOCK.read_text()
    said = workspace.run(reproduced, "python", "-m", "pipeline.tools.intact", expect=1)
    assert said.endswith(REMEDY)
    workspace.run(reproduced, "git", "checkout", "HEAD", "--", "dvc.lock")
    whole_again(reproduced, lock)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        *(pytest.param(rest, marks=pytest.mark.slow) for rest in (b'{"read', b"\xff\xfe", b"[]")),
    ],
)
def test_damaged_note_of_the_files_in_use(reproduced: Path, content: bytes) -> None:
    lock = LOCK.read_text()
    RWLOCK.write_bytes(content)
    said = workspace.run(reproduced, "python", "-m", "pipeline.tools.intact", expect=1)
    assert said == (
        f"intact: {RWLOCK}: expected DVC's note of the files in use, found a damaged one; delete "
        "it when no other dvc is at work, then run again\n"
    )
    RWLOCK.unlink()
    whole_again(reproduced, lock)


def test_another_dvc_at_work_is_to_be_waited_for(reproduced: Path) -> None:
    with Lock(".dvc/tmp/lock"):
        said = workspace.run(reproduced, "python", "-m", "pipeline.tools.intact", expect=1)
    assert said == (
        "intact: another dvc is at work in this project; wait until the other dvc has ended, then "
        "run again\n"
    )


def test_lock_is_free_while_the_records_of_runs_are_read(
    reproduced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand take a second, and a training that ends meanwhile waits for three at most."""
    read = []

    def is_run(path: Path) -> bool:
        with Lock(".dvc/tmp/lock"):
            read.append(path)
        return True

    monkeypatch.setattr(intact, "_is_run", is_run)
    intact.check()
    assert read


def test_locks_that_a_killed_dvc_left_hold_up_nobody(reproduced: Path) -> None:
    """DVC's lock is one of the system's, and the file only its place; of notes it asks the PID."""
    lock = LOCK.read_text()
    Path(".dvc/tmp/lock").write_text(" 999999\n")
    gone = '{"pid": 99999999, "cmd": "dvc repro"}'
    RWLOCK.write_text(f'{{"write": {{"{reproduced}/models/final.keras": {gone}}}, "read": {{}}}}')
    Path("models/final.keras").unlink()
    whole_again(reproduced, lock)
