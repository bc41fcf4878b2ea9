"""Damaged files in DVC's cache, in a remote and among the outputs, with the real DVC."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import workspace
import yaml
from conftest import PROJECT
from dvc.utils.serialize import load_yaml

from pipeline.base.errors import PipelineError
from pipeline.tools import intact

MODEL = "models/final.keras"


@pytest.fixture(autouse=True)
def hashed(reproduced: Path) -> None:
    """As it is after `dvc repro`: DVC has hashed every file and noted that it did."""
    assert "up to date" in workspace.run(reproduced, "dvc", "status")


def recorded(path: str) -> dict[str, Any]:
    """What dvc.lock says of the output `path`."""
    stages = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    (found,) = (out for stage in stages.values() for out in stage["outs"] if out["path"] == path)
    return found


def cached(md5: str) -> Path:
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def flip(path: Path) -> None:
    """Change one bit of `path`, as a bad disk does: nothing else tells of it."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def outputs() -> dict[str, bytes]:
    folders = ("data", "models", "reports")
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def refused(reproduced: Path) -> list[str]:
    """The files that the check names; they are deleted by the very command it gives."""
    said = workspace.run(reproduced, "python", "-m", "pipeline.tools.intact", expect=1)
    assert said.startswith("intact: expected what DVC recorded, found other bytes in\n  ")
    assert "Traceback" not in said
    command, advice = said.rsplit("delete them, `", 1)[1].split("`, ", 1)
    assert advice == (
        "and run `dvc repro` to make them again, or `dvc pull` first where a remote has them\n"
    )
    workspace.run(reproduced, "bash", "-c", command)
    return re.findall(r"^  (.*)$", said, re.MULTILINE)


def sound(reproduced: Path) -> bool:
    said = workspace.run(reproduced, "python", "-m", "pipeline.tools.intact")
    return re.fullmatch(r"DVC's cache and outputs: all \d+ as recorded\n", said) is not None


def ran() -> list[str]:
    return Path("ran.txt").read_text().split()


def test_whole_project_is_sound(reproduced: Path) -> None:
    assert sound(reproduced)


# A model, an input of other stages, and a figure that git holds and the run cache remembers.
@pytest.mark.parametrize(
    "path",
    [
        MODEL,
        pytest.param("data/processed/train.npz", marks=pytest.mark.slow),
        pytest.param("reports/variants/final/metrics.json", marks=pytest.mark.slow),
    ],
)
def test_damage_that_dvc_handed_out_is_found_and_mended(reproduced: Path, path: str) -> None:
    before, lock = outputs(), Path("dvc.lock").read_text()
    flip(cached(recorded(path)["md5"]))
    Path(path).unlink()
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    assert Path(path).read_bytes() != before[path]
    assert "up to date" in workspace.run(reproduced, "dvc", "status"), "DVC checks by itself now"
    assert refused(reproduced) == [str(cached(recorded(path)["md5"])), path]
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    assert sound(reproduced)
    assert (outputs(), Path("dvc.lock").read_text()) == (before, lock)


def test_damage_is_found_before_it_is_handed_out(reproduced: Path) -> None:
    """Among them a file of a folder, the folder's own list, and the record of a run."""
    before = outputs()
    folder = recorded("data/raw")["md5"]
    inside = re.findall('"md5": "(.*?)"', cached(folder).read_text())
    run = next(Path(".dvc/cache/runs").glob("*/*/*"))
    damaged = [cached(folder), *map(cached, inside), run, cached(recorded(MODEL)["md5"])]
    for path in damaged:
        flip(path)
    assert refused(reproduced) == sorted(map(str, damaged))
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    assert sound(reproduced)
    assert outputs() == before


def test_half_written_record_of_a_run_is_found(reproduced: Path) -> None:
    whole = next(Path(".dvc/cache/runs").glob("*/*/*"))
    left = whole.with_name(".token.tmp")  # DVC takes the newest file in this folder
    left.write_text(whole.read_text()[:-40])
    assert refused(reproduced) == [str(left)]


def test_record_that_is_gone_when_it_was_read_does_no_harm(
    reproduced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DVC's temporary names are; one is read half-written, another only after it is gone."""
    half, gone = sorted(Path(".dvc/cache/runs").glob("*/*/*"))[:2]

    def load(path: Path) -> object:
        if path.name in (half.name, gone.name):
            path.unlink()
        return {} if path.name == half.name else load_yaml(path)

    monkeypatch.setattr(intact, "load_yaml", load)
    assert intact.check()
    assert not half.exists()
    assert not gone.exists()


def test_damaged_output_is_found_though_the_cache_is_sound(reproduced: Path) -> None:
    before = outputs()
    flip(Path("data/raw/data_batch_1.bin"))
    flip(Path(MODEL))
    runs = len(ran())
    assert set(refused(reproduced)) == {"data/raw", MODEL}
    workspace.run(reproduced, "dvc", "checkout", "--quiet")
    assert sound(reproduced)
    assert outputs() == before
    assert len(ran()) == runs


def test_change_that_dvc_sees_is_left_to_it(reproduced: Path) -> None:
    Path(MODEL).write_text("by hand")
    assert sound(reproduced)


def test_hidden_files_and_backups_of_editors_are_no_damage_and_no_change(reproduced: Path) -> None:
    """In a folder that is an output, and in one that is a dependency of every training."""
    beside = [
        Path(folder, name)
        for folder in ("data/raw", "pipeline/train")
        for name in (".DS_Store", "._stage.py", ".stage.py.swp", "stage.py~")
    ]
    for path in beside:
        path.write_text("not of the project")
    runs = len(ran())
    assert "up to date" in workspace.run(reproduced, "dvc", "status")
    assert "nothing would run" in workspace.run(reproduced, "python", "-m", "pipeline.tools.plan")
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    assert sound(reproduced)
    assert len(ran()) == runs
    Path("data/raw/data_batch_1.bin").unlink()
    workspace.run(reproduced, "dvc", "checkout", "--quiet")
    assert sound(reproduced)
    assert all(path.exists() for path in beside)


def test_disk_that_cannot_read_is_damage(reproduced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("pipeline.tools.recorded.md5", unreadable)
    with pytest.raises(PipelineError, match=re.escape(str(cached(recorded(MODEL)["md5"])))):
        intact.check()


@pytest.mark.parametrize(
    "path", [pytest.param("data/processed/test.npz", marks=pytest.mark.slow), MODEL]
)
def test_stage_refuses_damaged_input(reproduced: Path, path: str) -> None:
    """With the true dispatcher, in a run that a changed setting makes necessary."""
    shutil.copy(PROJECT / "pipeline/__main__.py", "pipeline/__main__.py")
    flip(cached(recorded(path)["md5"]))
    Path(path).unlink()
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["evaluate"]["mistakes"] = 10
    workspace.write_params(reproduced, params)
    command = ("dvc", "repro", "--quiet", "evaluate@final")
    said = workspace.run(reproduced, *command, expect=255)
    assert (
        "pipeline evaluate final: expected what dvc.lock records, found other bytes in "
        f"{path}: delete that, `rm -rf {path}`, run `python -m pipeline.tools.intact`"
    ) in said
    Path(path).unlink()
    assert refused(reproduced) == [str(cached(recorded(path)["md5"]))]
    shutil.copy(workspace.STUB, "pipeline/__main__.py")
    workspace.run(reproduced, *command)
    assert sound(reproduced)
    shutil.copy(PROJECT / "pipeline/__main__.py", "pipeline/__main__.py")
    said = workspace.run(reproduced, *command, "--force", "--single-item", expect=255)
    assert "cannot read images, labels from data/processed/test.npz" in said  # the stub's is none


def test_stage_run_by_hand_takes_what_lies_there(reproduced: Path) -> None:
    shutil.copy(PROJECT / "pipeline/__main__.py", "pipeline/__main__.py")
    Path("data/processed/test.npz").write_text("by hand")
    said = workspace.run(reproduced, "python", "-m", "pipeline", "evaluate", "final", expect=1)
    assert "cannot read images, labels from data/processed/test.npz" in said


def test_damaged_model_predicts_nothing(reproduced: Path) -> None:
    path = "models/final.tflite"
    flip(cached(recorded(path)["md5"]))
    Path(path).unlink()
    workspace.run(reproduced, "dvc", "checkout", "--quiet", path)
    Path("reports/variants/final/metrics.json").unlink()  # a stub's, which lacks the loss
    command = ("python", "-m", "pipeline.predict", "photo.png", "--variant", "final")
    said = workspace.run(reproduced, *command, expect=1)
    assert said.startswith(f"predict: {path}: ")
    assert "dvc.lock" in said
    assert "dvc repro evaluate@final" in said


@pytest.mark.slow
@pytest.mark.parametrize("verify", ["true", "false"])
def test_damage_in_a_remote(reproduced: Path, tmp_path: Path, verify: str) -> None:
    workspace.run(reproduced, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    workspace.run(reproduced, "dvc", "remote", "modify", "store", "verify", verify)
    workspace.run(reproduced, "dvc", "push")
    before = outputs()
    shutil.rmtree(".dvc/cache")
    md5 = recorded(MODEL)["md5"]
    flip(tmp_path / "store/files/md5" / md5[:2] / md5[2:])
    Path(MODEL).unlink()
    said = workspace.run(reproduced, "dvc", "pull", expect=1 if verify == "true" else 0)
    if verify == "true":
        assert re.search(rf"failed to pull .*{re.escape(MODEL)}", said, re.DOTALL)
        assert not Path(MODEL).exists()
        assert not cached(md5).exists()
    else:
        assert refused(reproduced) == [str(cached(md5)), MODEL]
    workspace.run(reproduced, "dvc", "repro", "--quiet")
    assert sound(reproduced)
    assert outputs() == before
