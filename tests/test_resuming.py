"""A training that was broken off goes on to the very result of one that was not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import workspace
from conftest import PROJECT, small_params

from pipeline import checkpoint, files, train
from pipeline.errors import PipelineError

pytestmark = pytest.mark.usefixtures("trains_here")


class Killed(BaseException):
    """Ends a training as suddenly as a test within one process can."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml (four epochs) and small arrays, as the current folder."""
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


def outputs(project: Path, variant: str) -> list[bytes]:
    paths = (f"models/{variant}.keras", f"reports/{variant}/history.csv")
    return [(project / path).read_bytes() for path in paths]


@pytest.mark.parametrize("variant", workspace.trained_variants())
def test_result_is_that_of_an_unbroken_training(
    project: Path,
    kill_after: Callable[[str, int], None],
    capsys: pytest.CaptureFixture[str],
    variant: str,
) -> None:
    train.main([variant])
    whole = outputs(project, variant)
    assert not checkpoint.path(variant).exists()
    (project / f"models/{variant}.keras").unlink()
    kill_after(variant, 1)
    kill_after(variant, 2)
    assert not (project / f"models/{variant}.keras").exists()
    capsys.readouterr()
    assert train.main([variant]) > 0
    shown = capsys.readouterr().out
    assert [line.split("  ")[1] for line in shown.splitlines()] == [
        "continues after epoch 3/4",
        "epoch 4/4",
    ]
    assert outputs(project, variant) == whole
    assert not checkpoint.path(variant).exists()


def test_killed_between_last_epoch_and_output(
    project: Path, kill_after: Callable[[str, int], None]
) -> None:
    train.main(["baseline"])
    whole = outputs(project, "baseline")
    kill_after("baseline", 4)
    train.main(["baseline"])
    assert outputs(project, "baseline") == whole


@pytest.mark.parametrize(
    "epochs", [1, *(pytest.param(later, marks=pytest.mark.slow) for later in (2, 3, 4, 5))]
)
def test_early_stopping_remembers(
    project: Path, kill_after: Callable[[str, int], None], epochs: int
) -> None:
    """Killed wherever: before, at and after the best epoch, and just before it stops."""
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
    whole = outputs(project, "baseline")
    assert 6 <= whole[1].count(b"\n") < 30
    kill_after("baseline", epochs)
    train.main(["baseline"])
    assert outputs(project, "baseline") == whole


def broken_off(project: Path, kill_after: Callable[[str, int], None]) -> Path:
    kill_after("baseline", 2)
    return project / checkpoint.path("baseline")


@pytest.mark.parametrize(
    ("section", "name", "value", "anew"),
    [
        ("recipes", "study", {"learning_rate": 0.002}, True),
        ("recipes", "study", {"epochs": 3}, True),
        ("recipes", "study", {"operations_at_once": 1}, True),
        ("variants", "baseline", {"widths": [8]}, True),
        ("variants", "baseline", {"seed": 2}, True),
        ("variants", "baseline", {}, False),
        ("recipes", "fast", {"epochs": 3}, False),  # another's
    ],
)
def test_other_parameters_start_anew(
    project: Path,
    kill_after: Callable[[str, int], None],
    capsys: pytest.CaptureFixture[str],
    section: str,
    name: str,
    value: dict[str, Any],
    anew: bool,
) -> None:
    broken_off(project, kill_after)
    params = small_params(epochs=4)
    params[section][name] |= value
    workspace.write_params(project, params)
    capsys.readouterr()
    train.main(["baseline"])
    shown = capsys.readouterr().out
    assert ("continues after epoch 2/4" in shown) != anew
    assert ("is of other settings, code, data or libraries" in shown) == anew


@pytest.mark.parametrize("name", ["train", "validation"])
def test_other_data_starts_anew(
    project: Path,
    kill_after: Callable[[str, int], None],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    broken_off(project, kill_after)
    path = project / f"data/processed/{name}.npz"
    images, labels = files.read_arrays(path, "images", "labels")
    images[-1, -1, -1, -1] += 0.01
    files.write_arrays(path, images=images, labels=labels)
    capsys.readouterr()
    train.main(["baseline"])
    assert "is of other settings, code, data" in capsys.readouterr().out


def test_code_and_libraries_are_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import fit  # imports TensorFlow, which the fixture has started

    key = checkpoint.identity((), ())
    assert checkpoint.identity((), ()) == key
    changed = tmp_path / "fit.py"
    changed.write_bytes((PROJECT / "pipeline/fit.py").read_bytes() + b"\n")
    with monkeypatch.context() as patch:
        patch.setattr(fit, "__file__", str(changed))
        assert checkpoint.identity((), ()) != key
    for library in ("numpy", "keras", "tensorflow"):
        with monkeypatch.context() as patch:
            patch.setattr(
                checkpoint,
                "version",
                lambda name, changed=library: "0" if name == changed else "1",
            )
            other = checkpoint.identity((), ())
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "version", lambda name: "1")
            assert checkpoint.identity((), ()) != other


def test_result_is_the_same_after_a_damaged_checkpoint(
    project: Path, kill_after: Callable[[str, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["baseline"])
    whole = outputs(project, "baseline")
    file = broken_off(project, kill_after)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    for damaged in (bytes(content), bytes(content[: len(content) // 2]), b""):
        file.write_bytes(damaged)
        capsys.readouterr()
        train.main(["baseline"])
        assert "cannot be read" in capsys.readouterr().out
        assert outputs(project, "baseline") == whole


def test_two_at_once_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "WAIT_SECONDS", 0.1)
    with (
        checkpoint.claimed(checkpoint.path("baseline")),
        pytest.raises(PipelineError, match=r"baseline\.npz: another process is training the same"),
    ):
        train.main(["baseline"])
    train.main(["baseline"])


def test_unwritable_place_is_noticed_before_the_training(project: Path) -> None:
    (project / "models").write_text("a file where a folder should be")
    with pytest.raises(PipelineError, match=r"cannot write models/baseline\.keras: .*; free space"):
        train.main(["baseline"])
    assert not (project / "reports").exists()
