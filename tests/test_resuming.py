"""A training that was killed resumes to the result of one that was not."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import workspace
from conftest import small_params
from test_train import outputs

from pipeline import runtime
from pipeline.core import checkpoint, paths
from pipeline.core.errors import PipelineError
from pipeline.core.splits import read_split
from pipeline.datasets.preprocess import write_npz
from pipeline.training import train

pytestmark = pytest.mark.usefixtures("tensorflow_started", "training_project")


class Killed(BaseException):
    """Ends a training as suddenly as a test within one process can."""


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Train a variant and end it when so many checkpoints are written."""
    original = checkpoint.save

    def train_in_part(variant: str, epochs: int) -> None:
        written = 0

        def save(*arguments: Any) -> None:
            nonlocal written
            original(*arguments)
            written += 1
            if written == epochs:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save", save)
            with pytest.raises(Killed):
                train.main([variant])

    return train_in_part


# One for each kind of state: Adam's and dropout's, nothing but weights, Muon's and batch
# normalization's.
@pytest.mark.parametrize("variant", ["deep", pytest.param("sgd", marks=pytest.mark.slow), "fast"])
def test_result_is_that_of_an_uninterrupted_training(
    kill_after: Callable[[str, int], None], capsys: pytest.CaptureFixture[str], variant: str
) -> None:
    """Killed in the third epoch, and between the last and the output."""
    train.main([variant])
    whole = outputs(variant)
    paths.model(variant).unlink()
    kill_after(variant, 3)
    assert not paths.model(variant).exists()
    killed = np.load(paths.checkpoint(variant))["seconds"]
    capsys.readouterr()
    kill_after(variant, 1)
    seconds_of_both = np.load(paths.checkpoint(variant))["seconds"]
    lines = capsys.readouterr().out.splitlines()
    assert ["epoch 3/4" in lines[0], "epoch 4/4" in lines[-1], len(lines)] == [True, True, 2]
    assert train.main([variant]) == seconds_of_both > killed
    assert outputs(variant) == whole
    assert not list(Path(".checkpoints").glob("*.npz"))


def test_early_stopping_is_resumed(
    training_project: Path, kill_after: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before, at and after the best epoch, just before it stops, and when it has."""

    def killed(*_: Any) -> None:
        raise Killed

    params = small_params(epochs=30)
    params["recipes"]["study"] |= {"early_stopping": 3, "learning_rate": 0.02}
    workspace.write_params(training_project, params)
    # No image tells anything of its label, so the validation loss soon rises.
    noise = np.random.default_rng(0).random((150, 32, 32, 3), np.float32)
    one_hot = np.eye(10, dtype=np.float32)[np.arange(150) % 10]
    for name, part in (("train", slice(0, 100)), ("validation", slice(100, 150))):
        write_npz(paths.split(name), images=noise[part], labels=one_hot[part])
    train.main(["baseline"])
    whole = outputs("baseline")
    losses = [float(row.split(",")[4]) for row in whole[1].decode().splitlines()[1:]]
    best = int(np.argmin(losses)) + 1
    assert 2 <= best == len(losses) - 3  # the last epoch leaves no checkpoint
    for epochs in (best - 1, 1, 1, 1):
        kill_after("baseline", epochs)
    with monkeypatch.context() as patch:
        patch.setattr(train, "keras_file", SimpleNamespace(save_model=killed))
        with pytest.raises(Killed):
            train.main(["baseline"])
    train.main(["baseline"])
    assert outputs("baseline") == whole


@pytest.fixture
def resumes(training_project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A training of `baseline` killed after an epoch; call it to see whether another resumes it.

    No network is trained: what resumes is decided before.
    """
    given: list[checkpoint.State | None] = []

    def fit(*arguments: Any) -> None:
        *_, saved, save = arguments
        given.append(saved)
        save({"history_loss": np.array([2.0])})
        raise Killed

    def resumed() -> bool:
        with pytest.raises(Killed):
            train.main(["baseline"])
        return given[-1] is not None

    monkeypatch.setattr(train, "fit", SimpleNamespace(fit=fit))
    monkeypatch.setattr(runtime, "start", lambda *_: None)  # once a process
    assert not resumed()
    return resumed


AIRBENCH = {"kind": "airbench", "alternating_flip": 0.5, "translation": 0.1}


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("recipes.study", {"learning_rate": 0.002}, False),
        ("numerics.study", {"precision": "bfloat16", "cpu_isa": "DEFAULT"}, False),
        ("variants.baseline", {"seed": 2}, False),
        ("variants.baseline", {"augmentation": AIRBENCH}, False),
        ("variants.baseline", {}, True),
        ("numerics.own", {"precision": "bfloat16", "cpu_isa": "DEFAULT"}, True),  # another's
        ("variants.deep", {"seed": 2}, True),
    ],
)
def test_other_parameters_are_not_resumed(
    resumes: Callable[[], bool], section: str, value: dict[str, Any], expected: bool
) -> None:
    params = small_params(epochs=4)
    kind, name = section.split(".")
    params[kind][name] |= value
    workspace.write_params(Path(), params)
    assert resumes() == expected


def test_other_data_is_not_resumed(resumes: Callable[[], bool]) -> None:
    for name, array in itertools.product(("train", "validation"), (0, 1)):
        split = read_split(name)
        split[array][-1] = np.roll(split[array][-1], 1)
        write_npz(paths.split(name), images=split.images, labels=split.labels)
        assert [resumes(), resumes()] == [False, True]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pipeline/training/fit.py", False),
        ("pipeline/optimizers/adam.py", False),
        ("pipeline/networks/cnn.py", False),
        ("pipeline/augmentations/none.py", False),
        ("pipeline/runtime.py", False),
        ("requirements/tensorflow.txt", False),
        ("pipeline/training/__pycache__/fit.pyc", True),
        ("pipeline/optimizers/muon.py", True),  # another's
        ("pipeline/core/files.py", True),
        ("requirements/reports.txt", True),
    ],
)
def test_other_code_or_libraries_are_not_resumed(
    resumes: Callable[[], bool], path: str, expected: bool
) -> None:
    file = Path(path)
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as opened:
        opened.write("\n# changed\n")
    assert resumes() == expected
    if path == "pipeline/training/fit.py":
        file.rename(file.with_name("fit_2.py"))  # in the same position of the order
        assert not resumes()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
def test_damaged_checkpoint_is_not_resumed(
    resumes: Callable[[], bool], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    file = paths.checkpoint("baseline")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    end = {"flipped": None, "truncated": len(content) // 2, "empty": 0}[damage]
    file.write_bytes(content[:end])
    assert not resumes()
    assert str(file) in capsys.readouterr().out


def test_one_training_of_a_variant_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = paths.checkpoint("baseline"), list[str]()

    def wait() -> None:
        with checkpoint.lock(path):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with checkpoint.lock(path):
            waiting = pool.submit(wait)
            time.sleep(0.3)
            order.append("first")
            monkeypatch.setattr(checkpoint, "LOCK_TIMEOUT", 0.1)
            with pytest.raises(PipelineError, match=r"baseline\.npz"):
                train.main(["baseline"])
        waiting.result(timeout=20)
    assert order == ["first", "second"]


@pytest.mark.parametrize("output", [paths.model, paths.history])
def test_unwritable_output_stops_before_the_training(
    monkeypatch: pytest.MonkeyPatch, output: Callable[[str], Path]
) -> None:
    path = output("baseline")
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.write_text("a file where a folder should be")
    monkeypatch.setattr(train, "fit", None)
    with pytest.raises(PipelineError, match=f"cannot write {path}"):
        train.main(["baseline"])
