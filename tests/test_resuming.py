"""A training that was broken off goes on to the very result of one that was not."""

import itertools
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import synthetic
import workspace
from conftest import small_params

from pipeline import runtime
from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.report import places
from pipeline.train import checkpoint
from pipeline.train import stage as train

pytestmark = pytest.mark.usefixtures("tensorflow_started")


class Killed(BaseException):
    """Ends a training as suddenly as a test within one process can."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's files with small params (four epochs) and arrays, as the current folder."""
    workspace.copy_files(tmp_path)
    workspace.write_params(tmp_path, small_params(epochs=4))
    synthetic.write_splits(tmp_path / "data/processed", train=200, validation=50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Train a variant and end it when so many checkpoints are written."""

    def train_in_part(variant: str, epochs: int) -> None:
        written = 0

        def save(file: Path, key: str, state: checkpoint.State) -> None:
            nonlocal written
            original(file, key, state)
            written += 1
            if written == epochs:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save", save)
            with pytest.raises(Killed):
                train.main([variant])

    original = checkpoint.save
    return train_in_part


def outputs(variant: str) -> list[bytes]:
    return [path(variant).read_bytes() for path in (places.model, places.history)]


# One for each kind of state that a training carries on: Adam's and dropout's, nothing but weights,
# Muon's and batch normalisation's.
@pytest.mark.parametrize("variant", ["deep", pytest.param("sgd", marks=pytest.mark.slow), "fast"])
def test_result_is_that_of_an_unbroken_training(
    project: Path,
    kill_after: Callable[[str, int], None],
    capsys: pytest.CaptureFixture[str],
    variant: str,
) -> None:
    train.main([variant])
    whole = outputs(variant)
    assert not checkpoint.path(variant).exists()
    places.model(variant).unlink()
    kill_after(variant, 1)
    kill_after(variant, 2)
    assert not places.model(variant).exists()
    capsys.readouterr()
    assert train.main([variant]) > 0
    shown = capsys.readouterr().out
    assert [line.split("  ")[1] for line in shown.splitlines()] == [
        "continues after epoch 3/4",
        "epoch 4/4",
    ]
    assert outputs(variant) == whole
    assert not checkpoint.path(variant).exists()


def test_killed_between_last_epoch_and_output(
    project: Path, kill_after: Callable[[str, int], None]
) -> None:
    train.main(["baseline"])
    whole = outputs("baseline")
    kill_after("baseline", 4)
    train.main(["baseline"])
    assert outputs("baseline") == whole


def test_early_stopping_remembers(
    project: Path, kill_after: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before, at and after the best epoch, just before it stops, and when it has."""

    def killed(*_: Any) -> None:
        raise Killed

    params = small_params(epochs=30)
    params["recipes"]["study"] |= {"early_stopping": 3, "learning_rate": 0.02}
    workspace.write_params(project, params)
    # No image tells anything of its label, so the validation loss soon rises.
    noise = np.random.default_rng(0).random((150, 32, 32, 3), np.float32)
    one_hot = np.eye(10, dtype=np.float32)[np.arange(150) % 10]
    for name, part in (("train", slice(0, 100)), ("validation", slice(100, 150))):
        files.write_arrays(
            project / f"data/processed/{name}.npz", images=noise[part], labels=one_hot[part]
        )
    train.main(["baseline"])
    whole = outputs("baseline")
    losses = [float(row.split(",")[4]) for row in whole[1].decode().splitlines()[1:]]
    best = int(np.argmin(losses)) + 1
    assert 2 <= best == len(losses) - 3  # the last epoch leaves no checkpoint
    for epochs in (best - 1, 1, 1, 1):
        kill_after("baseline", epochs)
    with monkeypatch.context() as patch:
        patch.setattr(train, "model_file", SimpleNamespace(save=killed))
        with pytest.raises(Killed):
            train.main(["baseline"])
    train.main(["baseline"])
    assert outputs("baseline") == whole


@pytest.fixture
def interrupted(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A training of `baseline`, killed after an epoch; to be asked whether another goes on from it.

    No network is trained: what goes on from what is decided before.
    """
    given: list[checkpoint.State | None] = []

    def fit(*arguments: Any) -> None:
        *_, saved, save = arguments
        given.append(saved)
        save({checkpoint.HISTORY + "loss": np.array([2.0])})
        raise Killed

    def goes_on() -> bool:
        with pytest.raises(Killed):
            train.main(["baseline"])
        return given[-1] is not None

    monkeypatch.setattr(train, "fit", SimpleNamespace(fit=fit))
    assert not goes_on()
    return goes_on


@pytest.mark.parametrize(
    ("section", "name", "value", "anew"),
    [
        ("recipes", "study", {"learning_rate": 0.002}, True),
        ("recipes", "study", {"epochs": 3}, True),
        ("recipes", "study", {"micro_batches_at_once": 1}, True),
        ("arithmetic", "study", {"precision": "bfloat16", "cpu_isa": "DEFAULT"}, True),
        ("arithmetic", "own", {"precision": "bfloat16", "cpu_isa": "DEFAULT"}, False),
        ("variants", "baseline", {"widths": [8]}, True),
        ("variants", "baseline", {"seed": 2}, True),
        ("variants", "baseline", {"augmentation": {"shift": 0.1}}, True),
        ("variants", "baseline", {}, False),
        ("recipes", "fast", {"epochs": 3}, False),  # another's
        ("variants", "deep", {"seed": 2}, False),
        ("dataset", "", {"seed": 2}, False),  # that of the arrays it gets
    ],
)
def test_other_parameters_start_anew(
    project: Path,
    interrupted: Callable[[], bool],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    name: str,
    value: dict[str, Any],
    anew: bool,
) -> None:
    monkeypatch.setattr(runtime, "start", lambda cpu_isa: None)  # once a process
    params = small_params(epochs=4)
    (params[section][name] if name else params[section]).update(value)
    workspace.write_params(project, params)
    capsys.readouterr()
    assert interrupted() != anew
    shown = capsys.readouterr().out
    assert ("is of other settings, code, data or libraries" in shown) == anew


@pytest.mark.parametrize("name", ["train", "validation"])
@pytest.mark.parametrize("array", ["images", "labels"])
def test_other_data_starts_anew(
    project: Path, interrupted: Callable[[], bool], name: str, array: str
) -> None:
    path = project / f"data/processed/{name}.npz"
    images, labels = files.read_arrays(path, "images", "labels")
    if array == "images":
        images[-1, -1, -1, -1] = 1 - images[-1, -1, -1, -1]
    else:
        labels[-1] = np.roll(labels[-1], 1)
    files.write_arrays(path, images=images, labels=labels)
    assert not interrupted()
    assert interrupted()


@pytest.mark.parametrize(
    ("path", "anew"),
    [
        ("pipeline/train/fit.py", True),
        ("pipeline/train/optimizers/adam.py", True),
        ("pipeline/networks/plain.py", True),  # its own
        ("pipeline/base/files.py", True),
        ("pipeline/data/splits.py", True),
        ("pipeline/runtime.py", True),
        ("requirements/tensorflow.txt", True),
        ("requirements/numpy.txt", True),
        ("pipeline/networks/whitened.py", False),  # another's
        ("pipeline/comparison/tables.py", False),
        ("pipeline/evaluate/stage.py", False),
        ("pipeline/tools/parent_watchdog.py", False),
        ("pipeline/__main__.py", False),
        ("requirements/reports.txt", False),
    ],
)
def test_other_code_or_libraries_start_anew(
    project: Path, interrupted: Callable[[], bool], path: str, anew: bool
) -> None:
    file = project / path
    file.write_bytes(file.read_bytes() + b"\n# changed\n")
    assert interrupted() != anew


@pytest.mark.parametrize("moved", ["new", "renamed", "deleted"])
def test_other_files_of_code_start_anew(
    project: Path, interrupted: Callable[[], bool], moved: str
) -> None:
    folder = project / "pipeline/train"
    if moved == "new":
        (folder / "new.py").touch()
    elif moved == "renamed":
        (folder / "layers.py").rename(folder / "layers_2.py")  # in the same place of the order
    else:
        (folder / "layers.py").unlink()
    assert not interrupted()


def test_compiled_code_is_no_code(project: Path, interrupted: Callable[[], bool]) -> None:
    (project / "pipeline/train/__pycache__").mkdir()
    (project / "pipeline/train/__pycache__/fit.cpython-311.pyc").write_bytes(b"compiled")
    assert interrupted()


def test_seconds_of_all_parts_are_added_up(
    project: Path, interrupted: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def so_far() -> float:
        with np.load(checkpoint.path("baseline")) as archive:
            return float(archive["seconds"])

    before = so_far()
    assert before > 0
    clock = itertools.count(100, 5)
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    for parts in (1, 2):
        assert interrupted()
        assert so_far() == pytest.approx(before + 5 * parts)


def test_result_is_the_same_after_a_damaged_checkpoint(
    project: Path, kill_after: Callable[[str, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["baseline"])
    whole = outputs("baseline")
    kill_after("baseline", 2)
    file = project / checkpoint.path("baseline")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    for damaged in (bytes(content), bytes(content[: len(content) // 2]), b""):
        file.write_bytes(damaged)
        assert checkpoint.load(file, "any key") is None
        assert "cannot be read" in capsys.readouterr().out
    train.main(["baseline"])
    assert "cannot be read" in capsys.readouterr().out
    assert outputs("baseline") == whole


def test_two_at_once_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "WAIT_SECONDS", 0.1)
    with (
        checkpoint.claimed(checkpoint.path("baseline")),
        pytest.raises(PipelineError, match=r"baseline\.npz: another process is training the same"),
    ):
        train.main(["baseline"])
    train.main(["baseline"])


def test_nothing_is_left_of_a_finished_training(project: Path) -> None:
    train.main(["baseline"])
    assert list((project / checkpoint.FOLDER).iterdir()) == []


def test_who_waits_for_a_claim_gets_one_of_its_own(project: Path) -> None:
    """Though the file on which it waited is gone by then."""
    file, order = checkpoint.path("baseline"), list[str]()

    def wait() -> None:
        with checkpoint.claimed(file):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with checkpoint.claimed(file):
            waiting = pool.submit(wait)
            time.sleep(0.3)
            order.append("first")
        waiting.result(timeout=20)
        with checkpoint.claimed(file):
            pass
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("folder", "output"),
    [
        ("models", "models/baseline.keras"),
        ("reports/variants", "reports/variants/baseline/history.csv"),
    ],
)
def test_unwritable_place_is_noticed_before_the_training(
    project: Path, monkeypatch: pytest.MonkeyPatch, folder: str, output: str
) -> None:
    (project / folder).write_text("a file where a folder should be")
    monkeypatch.setattr(train, "fit", None)
    with pytest.raises(PipelineError, match=rf"cannot write {re.escape(output)}: .*; free space"):
        train.main(["baseline"])
