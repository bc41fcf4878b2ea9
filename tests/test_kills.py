"""kill -9 at random moments, under the real DVC: the outputs are those of an uninterrupted run."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import synthetic
import workspace
from conftest import small_params

from pipeline.core import paths

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with small data, a few epochs, and nothing trained."""
    folder = workspace.copy_project(tmp_path / "project")
    workspace.write_params(folder, small_params(epochs=8))
    synthetic.write_splits(folder / "data/processed", train=1600, validation=500)
    return folder


def start(folder: Path, variant: str) -> subprocess.Popen[bytes]:
    """`dvc repro` of the training alone, logging to train.log beside `folder`."""
    with (folder.parent / "train.log").open("a") as log:
        return subprocess.Popen(
            ["dvc", "repro", "--single-item", f"train@{variant}"],
            cwd=folder,
            env={**workspace.environment(), "DVC_SITE_CACHE_DIR": str(folder.parent / "site")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(folder: Path, variant: str) -> None:
    assert start(folder, variant).wait() == 0, (folder.parent / "train.log").read_text()


def kill_training(dvc: subprocess.Popen[bytes]) -> None:
    for child in psutil.Process(dvc.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()


# Both at once, as when a machine is shut down; DVC alone, by a signal that it does not pass on to
# its training, which has to notice; the training alone, as when memory runs out.
WAYS: tuple[Callable[[subprocess.Popen[bytes]], None], ...] = (
    lambda dvc: os.killpg(dvc.pid, signal.SIGKILL),
    subprocess.Popen.kill,
    subprocess.Popen.terminate,
    kill_training,
)


def outputs(folder: Path, variant: str) -> list[bytes]:
    return [(folder / path).read_bytes() for path in (paths.model(variant), paths.history(variant))]


def forget(folder: Path, variant: str) -> None:
    """Delete the training's outputs and all that DVC knows of them."""
    (folder / paths.model(variant)).unlink()
    (folder / paths.history(variant)).unlink()
    (folder / "dvc.lock").unlink()
    shutil.rmtree(folder / ".dvc/cache/runs")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("variant", workspace.KINDS)
def test_killed_training_ends_in_the_same_bytes(project: Path, variant: str) -> None:
    moments = random.Random(variant)
    started = time.monotonic()
    run(project, variant)
    seconds = time.monotonic() - started
    whole, lock = outputs(project, variant), (project / "dvc.lock").read_bytes()
    forget(project, variant)

    ways = list(WAYS)
    moments.shuffle(ways)
    checkpoint = project / paths.checkpoint(variant)
    while ways:
        dvc = start(project, variant)
        time.sleep(moments.uniform(0.2, 0.95) * seconds)
        if len(ways) == 1:  # the last kill leaves something to resume
            while dvc.poll() is None and not checkpoint.exists():
                time.sleep(0.01)
        if dvc.poll() is None:
            ways[-1](dvc)
        if dvc.wait() == 0:  # finished before: the result must be right, and is made again
            assert outputs(project, variant) == whole
            forget(project, variant)
            continue
        assert not workspace.left_in(project)
        ways.pop()

    run(project, variant)
    assert outputs(project, variant) == whole
    assert (project / "dvc.lock").read_bytes() == lock
    assert not list(project.glob(".checkpoints/*.npz"))
    assert "continues after epoch" in (project.parent / "train.log").read_text()
    assert not list(project.rglob("*.part*"))
