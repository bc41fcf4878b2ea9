"""Disks that are full or read-only, by mounts of their own that nobody else sees."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
import workspace
import yaml

pytestmark = [
    pytest.mark.slow,  # not for their time, but as not everybody may mount
    pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux has them"),
]
NO_SPACE = "No space left on device; free space or fix its permissions, then run again"
READ_ONLY = "Read-only file system; free space or fix its permissions, then run again"


def mounted(folder: Path, script: str) -> str:
    """The output of `script`, run by bash in `folder` where it may mount; it stops at a failure."""
    if not shutil.which("unshare"):
        pytest.fail("unshare is missing: install util-linux")
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ("unshare", *rights, "--mount")
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.fail(f"nobody may mount here ({probe.stderr.strip()}): allow user namespaces")
    return workspace.run(folder, *command, "bash", "-ec", script)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy in which preprocess and train have little to do."""
    folder = workspace.copy_project(tmp_path / "project")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["dataset"] |= {"train_images": 300, "validation_images": 100}
    params["recipes"]["study"]["epochs"] = 2
    workspace.write_params(folder, params)
    synthetic.write_batches(folder / "data/raw")
    return folder


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


FULL = """
mkdir -p {folder} kept
mount -t tmpfs -o size={small} tmpfs {folder}
python -m pipeline {stage} 2>&1 && exit 9
echo "left: $(ls -A {folder})"
mount -o remount,size=100m {folder}
python -m pipeline {stage}
cp -r {folder}/. kept
"""


def test_full_disk_in_preprocess(project: Path) -> None:
    """Validation fits, train and test do not: 300 images take 3.7 MB."""
    processed = "data/processed"
    said = mounted(project, FULL.format(folder=processed, small="1m", stage="preprocess"))
    assert f"pipeline preprocess: cannot write {processed}/train.npz: {NO_SPACE}\n" in said
    assert "left: \n" in said
    workspace.run(project, "python", "-m", "pipeline", "preprocess")
    assert made(project / "kept") == made(project / processed)


def test_full_disk_at_the_end_of_a_training(project: Path) -> None:
    """The model takes 270 kB. The second run has only to write it."""
    synthetic.write_splits(project / "data/processed", train=300, validation=100)
    said = mounted(project, FULL.format(folder="models", small="100k", stage="train baseline"))
    assert f"pipeline train baseline: cannot write models/baseline.keras: {NO_SPACE}\n" in said
    assert "left: \n" in said
    workspace.run(project, "python", "-m", "pipeline", "train", "baseline")
    assert made(project / "kept") == made(project / "models")


def test_read_only_models_are_noticed_before_the_training(project: Path) -> None:
    synthetic.write_splits(project / "data/processed", train=40, validation=20)
    script = """
    mkdir models
    mount --bind models models
    mount -o remount,bind,ro models
    python -m pipeline train final 2>&1 || exit 0
    """
    said = mounted(project, script)
    # A processor that could be quicker by other arithmetic says so in a line before.
    assert said.splitlines()[-1] == (
        f"pipeline train final: cannot write models/final.keras: {READ_ONLY}"
    )
    assert "epoch" not in said


def test_read_only_models_stop_dvc_before_the_training(reproduced: Path) -> None:
    script = """
    mount --bind models models
    mount -o remount,bind,ro models
    dvc repro --force --single-item train@final 2>&1 || exit 0
    """
    runs = (reproduced / "ran.txt").read_text()
    said = mounted(reproduced, script)
    assert "failed to reproduce 'train@final': [Errno 30] Read-only file system" in said
    assert "models/final.keras" in said
    assert (reproduced / "ran.txt").read_text() == runs


# Everything, DVC's notes included, on a disk with `$1` kB left; then what the messages say.
NEARLY_FULL = r"""
free=$1
mkdir disk
mount -t tmpfs -o size=32m tmpfs disk
cp -r start/. disk
cd disk
export DVC_SITE_CACHE_DIR=$PWD/.dvc/site
left=$(df --output=avail --block-size=1k . | tail -n 1)
head -c $(( (left - free) * 1024 )) /dev/zero > filler
dvc repro 2>&1 && echo all of it fitted
python -m pipeline.tools.free_space 2>&1
rm filler
echo "== there is space again"
for attempt in 1 2 3 4; do
  said=$(python -m pipeline.tools.intact 2>&1) && break
  echo "$said"
  case $said in
    *"dvc.lock, or delete it"*|*"git checkout HEAD -- dvc.lock"*) rm dvc.lock;;
    *".dvc/tmp/rwlock: "*"delete it"*) rm .dvc/tmp/rwlock;;
    *"delete them, "*) eval "$(sed -n 's/^delete them, `\(rm -rf .*\)`, and.*/\1/p' <<< "$said")";;
    *) exit 8;;
  esac
done
dvc repro --quiet
python -m pipeline.tools.intact
dvc status
rm ran.txt
cp -r data models reports dvc.lock ../end
"""


@pytest.mark.parametrize("kilobytes", [0, 4, 20, 60, 100, 140, 180, 220, 260])
def test_disk_that_fills_up_under_dvc(
    reproduced_once: Path, tmp_path: Path, kilobytes: int
) -> None:
    """It strikes elsewhere each time: a stage's output, DVC's cache, its notes or dvc.lock."""
    shutil.copytree(reproduced_once, tmp_path / "start")
    for name in (".dvc/cache", "data", "models", "reports"):
        shutil.rmtree(tmp_path / "start" / name)
    for name in ("dvc.lock", "ran.txt"):
        (tmp_path / "start" / name).unlink()
    (tmp_path / "end").mkdir()
    said = mounted(tmp_path, NEARLY_FULL.replace("$1", str(kilobytes)))
    print(said)
    fitted = "all of it fitted" in said
    assert fitted or re.search(r"\nthe disk of \S+ is full, \d+ kB are left: free some space", said)
    assert not (fitted and kilobytes < 20)
    assert "Traceback" not in said
    for name in ("data", "models", "reports"):
        for path in (tmp_path / "end" / name).rglob("*"):
            if path.is_file():
                twin = reproduced_once / path.relative_to(tmp_path / "end")
                assert path.read_bytes() == twin.read_bytes(), path
    assert (tmp_path / "end/dvc.lock").read_text() == (reproduced_once / "dvc.lock").read_text()
