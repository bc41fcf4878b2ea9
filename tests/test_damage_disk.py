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


def test_read_only_models_stop_before_the_training(reproduced: Path) -> None:
    shutil.copy(PROJECT / "pipeline/__main__.py", reproduced / "pipeline")  # the real stages
    synthetic.write_splits(reproduced / "data/processed", train=40, validation=20)
    script = """
    mount --bind models models
    mount -o remount,bind,ro models
    python -m pipeline train final 2>&1 || exit 0
    """
    message = mounted(reproduced, script)
    assert "cannot write models/final.keras: Read-only file system" in message
    assert "epoch" not in message


def test_a_disk_that_is_full_under_dvc_is_named(reproduced: Path) -> None:
    """DVC itself only says "disk I/O error", or that its database is full."""
    script = """
    mkdir disk
    mount -t tmpfs -o size=16m tmpfs disk
    export DVC_SITE_CACHE_DIR=$PWD/disk
    dvc status > /dev/null
    dd if=/dev/zero of=disk/filler status=none || true
    rm models/final.keras
    make --eval 'again: ; @$(REPRO)' again && exit 9
    rm disk/filler
    dvc repro --quiet
    python -m pipeline.tools.repository check
    """
    shutil.copy(PROJECT / "Makefile", reproduced)
    message = mounted(reproduced, script)
    assert message.count(" is full: ") == 1
    assert f"The disk of {reproduced}/disk is full" in message
