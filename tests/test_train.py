"""Training: history, early stopping, progress, and that the same inputs give the same bytes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import workspace
from conftest import PROJECT, small_params

from pipeline import checkpoint, config, files, runtime, settings, train
from pipeline.errors import PipelineError

pytestmark = pytest.mark.usefixtures("trains_here")
PARAMS = config.read(PROJECT / "params.yaml")


def arrays(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = synthetic.make_images(count, seed=seed)
    return images.astype(np.float32) / 255, np.eye(10, dtype=np.float32)[labels]


def ignore(state: checkpoint.State) -> None:
    """For a training that is not to be resumed."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml (two epochs) and small arrays, as the current folder."""
    workspace.write_params(tmp_path, small_params(epochs=2))
    for name, count in (("train", 300), ("validation", 100)):
        images, labels = arrays(count, seed=count)
        files.write_arrays(tmp_path / f"data/processed/{name}.npz", images=images, labels=labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("variant", workspace.trained_variants())
def test_every_variant_repeats_its_bytes(project: Path, variant: str) -> None:
    outputs = [project / f"models/{variant}.keras", project / f"reports/{variant}/history.csv"]
    train.main([variant])
    first = [path.read_bytes() for path in outputs]
    train.main([variant])
    assert [path.read_bytes() for path in outputs] == first
    assert not list(project.rglob("*.part*"))


def test_threads_side_by_side_repeat_their_bytes(project: Path) -> None:
    """In a process of its own, with the threads of the recipe; this process has others."""
    outputs = [project / path for path in ("models/fast.keras", "reports/fast/history.csv")]
    twice = (
        "import hashlib; from pathlib import Path; from pipeline import train\n"
        "for _ in range(2):\n"
        "    train.main(['fast'])\n"
        f"    for path in {[str(path) for path in outputs]}:\n"
        "        print(hashlib.sha256(Path(path).read_bytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", twice],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    digests = [line for line in done.stdout.splitlines() if "epoch" not in line]
    assert len(digests) == 4
    assert digests[:2] == digests[2:]


def test_saved_model_is_the_trained_one_and_needs_no_code_of_ours(project: Path) -> None:
    import keras

    train.main(["deep"])
    rows = (project / "reports/deep/history.csv").read_text().splitlines()
    assert rows[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]
    model = keras.saving.load_model(project / "models/deep.keras")
    assert not model.compiled  # and so no optimizer state in the file
    images, labels = arrays(100, seed=100)
    right = model.predict_on_batch(images).argmax(axis=1) == labels.argmax(axis=1)
    assert right.mean() == pytest.approx(float(rows[-1].split(",")[3]), abs=1e-6)


@pytest.mark.parametrize("variant", ["baseline", "fast"])
def test_seed_decides(project: Path, variant: str) -> None:
    train.main([variant])
    first = (project / f"models/{variant}.keras").read_bytes()
    params = small_params(epochs=2)
    params["variants"][variant]["seed"] = 2
    workspace.write_params(project, params)
    train.main([variant])
    assert (project / f"models/{variant}.keras").read_bytes() != first


def test_learns() -> None:
    from pipeline import fit

    variant = settings.variant(PARAMS, "final")
    recipe = settings.recipe(PARAMS, "study").model_copy(update={"epochs": 5})
    _, history = fit.fit("final", variant, recipe, arrays(1000, 1), arrays(200, 2), None, ignore)
    assert history["val_accuracy"][-1] > 0.5  # chance is 0.1


def test_early_stopping_keeps_the_best_epoch() -> None:
    from pipeline import fit

    variant = settings.variant(PARAMS, "baseline")
    # At this rate the validation loss soon turns.
    recipe = settings.recipe(PARAMS, "study").model_copy(
        update={"epochs": 40, "early_stopping": 2, "learning_rate": 0.02}
    )
    noise = np.random.default_rng(0).random((200, 32, 32, 3), np.float32)
    labels = np.eye(10, dtype=np.float32)[np.arange(200) % 10]
    validation = (noise[100:], labels[100:])
    network, history = fit.fit(
        "x", variant, recipe, (noise[:100], labels[:100]), validation, None, ignore
    )
    assert len(history["loss"]) < 40
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 3
    probabilities = network.predict_on_batch(validation[0])
    loss = -np.log(np.clip((probabilities * validation[1]).sum(axis=1), 1e-7, 1)).mean()
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-4)


def test_diverging_loss_is_an_error_that_names_the_parameter() -> None:
    from pipeline import fit

    variant = settings.variant(PARAMS, "sgd")
    recipe = settings.recipe(PARAMS, "trial_sgd").model_copy(update={"learning_rate": 1e30})
    with pytest.raises(PipelineError, match=r"epoch 1; lower recipes\.trial_sgd\.learning_rate"):
        fit.fit("sgd", variant, recipe, arrays(200, 1), arrays(100, 2), None, ignore)


def test_log_has_a_line_an_epoch(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.main(["baseline"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["baseline", "epoch", "1/2"],
        ["baseline", "epoch", "2/2"],
    ]
    assert all("val_accuracy" in line for line in lines)


def test_terminal_shows_a_bar_with_validation_accuracy(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train.main(["baseline"])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "baseline: 100%" in shown.err
    assert "20/20" in shown.err  # 10 batches in each of 2 epochs
    assert "val_accuracy" in shown.err


def test_missing_data_is_named_with_what_makes_it(project: Path) -> None:
    (project / "data/processed/train.npz").unlink()
    with pytest.raises(PipelineError, match=r"data/processed/train\.npz.*`dvc repro"):
        train.main(["baseline"])


def test_variant_must_be_named(project: Path) -> None:
    with pytest.raises(PipelineError, match="usage: python -m pipeline train VARIANT"):
        train.main([])
    with pytest.raises(PipelineError, match=r"variants\.fnal.*did you mean 'final'"):
        train.main(["fnal"])


def test_all_images_are_trained_where_none_is_held_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import fit

    given: list[tuple[np.ndarray, ...]] = []
    original = fit.fit

    def watched(*arguments: Any) -> Any:
        given.append(arguments[3])
        assert arguments[4] is None
        return original(*arguments)

    monkeypatch.setattr(fit, "fit", watched)
    train.main(["fast"])
    ((images, labels),) = given
    for number, array in enumerate((images, labels)):
        both = [arrays(300, 300)[number], arrays(100, 100)[number]]
        np.testing.assert_array_equal(array, np.concatenate(both))
    rows = (project / "reports/fast/history.csv").read_text().splitlines()
    assert [row.split(",")[3:] for row in rows[1:]] == [["", ""]] * 2
    assert all(float(cell) > 0 for row in rows[1:] for cell in row.split(",")[1:3])


def test_saved_whitened_network_is_the_trained_one_and_needs_no_code_of_ours(
    tmp_path: Path,
) -> None:
    import keras

    from pipeline import fit, model_file

    params = small_params(epochs=2)
    states: list[checkpoint.State] = []
    network, _ = fit.fit(
        "fast",
        settings.variant(params, "fast"),
        settings.recipe(params, "fast"),
        arrays(100, 1),
        None,
        None,
        states.append,
    )
    model_file.save(network, tmp_path / "fast.keras")
    opened = keras.saving.load_model(tmp_path / "fast.keras", safe_mode=True)
    assert all(type(layer).__module__.startswith("keras.") for layer in opened.layers)
    for number, weights in enumerate(opened.get_weights()):
        np.testing.assert_array_equal(weights, states[-1][f"variable_{number}"])
    assert opened.input_shape == (None, 32, 32, 3)


def test_bfloat16_is_refused_where_it_is_emulated(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = small_params(epochs=2)
    params["recipes"]["fast"] |= {"precision": "bfloat16", "cpu_isa": "DEFAULT"}
    workspace.write_params(project, params)
    monkeypatch.setattr(runtime, "start", lambda _: None)  # this process has other settings
    monkeypatch.setattr(runtime, "cpu_flags", lambda: {"sse4_1", "avx2"})
    with pytest.raises(PipelineError, match=r"recipes\.fast\.precision: bfloat16 needs .*float32"):
        train.main(["fast"])
    assert not (project / "models").exists()
