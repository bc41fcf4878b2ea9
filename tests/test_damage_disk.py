"""Full and read-only disks, mounted in a namespace of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
import workspace
from conftest import PROJECT

pytestmark = [
    pytest.mark.slow,  # as not everybody may mount
    pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux has them"),
]


def mounted(folder: Path, script: str) -> str:
    """The output of the bash `script` in `folder`, where it may mount."""
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ("unshare", *rights, "--mount")
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    assert probe.returncode == 0, f"install util-linux, allow user namespaces: {probe.stderr}"
    return workspace.run(folder, *command, "bash", "-ec", script)


FULL = """
mkdir -p {folder} kept
mount -t tmpfs -o size={small} tmpfs {folder}
python -m pipeline {stage} 2>&1 && exit 9
echo "left: $(ls -A {folder})"
mount -o remount,size=100m {folder}
python -m pipeline {stage}
cp -r {folder}/. kept
"""


@pytest.mark.parametrize(
    ("folder", "small", "stage", "path"),
    [
        ("data/processed", "1m", "preprocess", "train.npz"),  # 300 images take 3.7 MB
        ("models", "100k", "train baseline", "baseline.keras"),  # 270 kB, written at the end
    ],
)
def test_full_disk(tmp_path: Path, folder: str, small: str, stage: str, path: str) -> None:
    project = workspace.copy_project(tmp_path / "project")
    params = workspace.read_params(project)
    params["dataset"] |= {"train_images": 300, "validation_images": 100}
    params["recipes"]["study"]["epochs"] = 2
    workspace.write_params(project, params)
    synthetic.write_batches(project / "data/raw")
    if stage != "preprocess":
        synthetic.write_splits(project / "data/processed", train=300, validation=100)
    message = mounted(project, FULL.format(folder=folder, small=small, stage=stage))
    assert f"cannot write {folder}/{path}: No space left on device" in message
    assert "left: \n" in message
    workspace.run(project, "python", "-m", "pipeline", *stage.split())
    contents = [
        {file.name: file.read_bytes() for file in (project / name).iterdir()}
        for name in (folder, "kept")
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "command", ["python -m pipeline train final", "dvc repro --force --single-item train@final"]
)
def test_read_only_models_stop_before_the_training(reproduced: Path, command: str) -> None:
    if command.startswith("python"):
        shutil.copy(PROJECT / "pipeline/__main__.py", reproduced / "pipeline")  # the real stages
        synthetic.write_splits(reproduced / "data/processed", train=40, validation=20)
    script = f"""
    mount --bind models models
    mount -o remount,bind,ro models
    {command} 2>&1 || exit 0
    """
    runs = (reproduced / "ran.txt").read_text()
    message = mounted(reproduced, script)
    assert "Read-only file system" in message
    assert "models/final.keras" in message
    assert "epoch" not in message
    assert (reproduced / "ran.txt").read_text() == runs


# Everything, DVC's databases included, on a disk with `$1` kB left; then the remedies printed.
NEARLY_FULL = r"""
free=$1
mkdir disk
mount -t tmpfs -o size=32m tmpfs disk
cp -r start/. disk
cd disk
export DVC_SITE_CACHE_DIR=$PWD/.dvc/site
left=$(df --output=avail --block-size=1k . | tail -n 1)
head -c $(( (left - free) * 1024 )) /dev/zero > filler
dvc repro 2>&1 && exit 9
python -m pipeline.tools.cache_check --disks 2>&1
rm filler
echo "== there is space again"
for attempt in 1 2 3 4; do
  message=$(python -m pipeline.tools.cache_check 2>&1) && break
  echo "$message"
  case $message in
    *"git checkout HEAD -- dvc.lock"*) rm dvc.lock;;
    *'`rm -rf '*) eval "$(sed -n 's/.*`\(rm -rf [^`]*\)`.*/\1/p' <<< "$message")";;
    *) exit 8;;
  esac
done
dvc repro --quiet || { rm .dvc/tmp/rwlock; dvc repro --quiet; }
python -m pipeline.tools.cache_check
rm ran.txt
cp -r data models reports dvc.lock ../end
"""


@pytest.mark.parametrize("kilobytes", [0, 20, 60, 100])
def test_disk_that_fills_up_under_dvc(
    reproduced_once: Path, tmp_path: Path, kilobytes: int
) -> None:
    """Each size fails in another place: an output, DVC's cache, a database or dvc.lock."""
    shutil.copytree(reproduced_once, tmp_path / "start")
    for name in (".dvc/cache", "data", "models", "reports"):
        shutil.rmtree(tmp_path / "start" / name)
    for name in ("dvc.lock", "ran.txt"):
        (tmp_path / "start" / name).unlink()
    (tmp_path / "end").mkdir()
    message = mounted(tmp_path, NEARLY_FULL.replace("$1", str(kilobytes)))
    assert "\nthe disk of " in message
    assert "Traceback" not in message
    for path in (tmp_path / "end").rglob("*"):
        if path.is_file():
            twin = reproduced_once / path.relative_to(tmp_path / "end")
            assert path.read_bytes() == twin.read_bytes(), path
