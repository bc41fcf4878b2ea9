"""kill -9 at random moments, under the real DVC: the outputs are those of an unbroken run."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import processes
import psutil
import pytest
import synthetic
import workspace

from pipeline.report import places
from pipeline.train import checkpoint

pytestmark = pytest.mark.slow

# One for each kind of state that a training carries on: Adam's and dropout's, nothing but weights,
# Muon's and batch normalisation's.
VARIANTS = ("deep", "sgd", "fast")
EPOCHS = 8


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with small data, a few epochs, and nothing trained."""
    folder = workspace.copy_project(tmp_path / "project")
    params = workspace.light(workspace.read_params(folder))
    for recipe in params["recipes"].values():
        recipe["epochs"] = EPOCHS
    workspace.write_params(folder, params)
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


def kill_all(dvc: subprocess.Popen[bytes]) -> None:
    """Both at once, as when a machine is shut down."""
    os.killpg(dvc.pid, signal.SIGKILL)


def kill_dvc(dvc: subprocess.Popen[bytes]) -> None:
    """DVC alone; its training has to notice."""
    dvc.kill()


def terminate_dvc(dvc: subprocess.Popen[bytes]) -> None:
    """DVC alone, asked by SIGTERM, which it passes on to nobody."""
    dvc.terminate()


def kill_training(dvc: subprocess.Popen[bytes]) -> None:
    """The training alone, as when memory runs out; nothing where DVC has none at the moment."""
    for child in psutil.Process(dvc.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()


WAYS: tuple[Callable[[subprocess.Popen[bytes]], None], ...] = (
    kill_all,
    kill_dvc,
    terminate_dvc,
    kill_training,
)


def outputs(folder: Path, variant: str) -> list[bytes]:
    return [
        (folder / path).read_bytes() for path in (places.model(variant), places.history(variant))
    ]


def forget(folder: Path, variant: str) -> None:
    """Delete the training's outputs and all that DVC knows of them."""
    (folder / places.model(variant)).unlink()
    (folder / places.history(variant)).unlink()
    (folder / "dvc.lock").unlink()
    shutil.rmtree(folder / ".dvc/cache/runs")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_training_ends_in_the_same_bytes(project: Path, variant: str) -> None:
    moments = random.Random(variant)
    started = time.monotonic()
    assert start(project, variant).wait() == 0, (project.parent / "train.log").read_text()
    seconds = time.monotonic() - started
    whole, lock = outputs(project, variant), (project / "dvc.lock").read_bytes()
    forget(project, variant)

    ways = list(WAYS)
    moments.shuffle(ways)
    reached = project / checkpoint.path(variant)
    while ways:
        dvc = start(project, variant)
        time.sleep(moments.uniform(0.2, 0.95) * seconds)
        if len(ways) == 1:  # at the latest now, something has to be there to go on from
            while dvc.poll() is None and not reached.exists():
                time.sleep(0.01)
        if dvc.poll() is None:
            ways[-1](dvc)
        if dvc.wait() == 0:  # it was faster; it must be right, and is done once more
            assert outputs(project, variant) == whole
            forget(project, variant)
            continue
        assert not processes.left_in(project)
        ways.pop()

    assert start(project, variant).wait() == 0, (project.parent / "train.log").read_text()
    assert outputs(project, variant) == whole
    assert (project / "dvc.lock").read_bytes() == lock
    assert not list(project.glob(".checkpoints/*"))
    assert "continues after epoch" in (project.parent / "train.log").read_text()
    assert not list(project.rglob("*.part*"))
