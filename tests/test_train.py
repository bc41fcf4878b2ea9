"""Stage train: its files, its progress, and that the same inputs give the same bytes."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lazy
import numpy as np
import pytest
import synthetic
import workspace
from conftest import PROJECT, small_params

from pipeline import runtime
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.training import train
from pipeline.training.variant import read_training_config

pytestmark = pytest.mark.usefixtures("tensorflow_started", "training_project")


def outputs(variant: str) -> list[bytes]:
    return [path(variant).read_bytes() for path in (paths.model, paths.history)]


@pytest.mark.parametrize("variant", ["deep", "fast"])
def test_trainings_of_two_processes_give_the_same_bytes(
    training_project: Path, variant: str
) -> None:
    train.main([variant])
    first = outputs(variant)
    code = f"from pipeline.training import train; train.main(['{variant}'])"
    workspace.run_code(code, THREADS="3")
    assert outputs(variant) == first
    assert not list(training_project.rglob("*.part*"))


def test_saved_model_is_the_trained_one_and_the_log_has_a_line_an_epoch(
    training_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["deep"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("val_accuracy" in line for line in lines)
    rows = paths.history("deep").read_text().splitlines()
    assert rows[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    accuracy, loss = map(float, rows[-1].split(",")[3:])
    model = lazy.keras.saving.load_model(paths.model("deep"))
    assert not model.compiled  # and so no optimizer state in the file
    images, labels = synthetic.arrays(50, seed=50)
    predicted = model.predict_on_batch(images)
    correct = predicted.argmax(axis=1) == labels.argmax(axis=1)
    assert correct.mean() == pytest.approx(accuracy, abs=1e-6)
    assert -np.log((predicted * labels).sum(axis=1)).mean() == pytest.approx(loss, rel=1e-4)

    first, params = paths.model("deep").read_bytes(), small_params(epochs=4)
    params["variants"]["deep"]["seed"] = 2
    workspace.write_params(training_project, params)
    train.main(["deep"])
    assert paths.model("deep").read_bytes() != first


def test_terminal_has_a_progress_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train.main(["baseline"])
    printed = capsys.readouterr()
    assert printed.out.count("val_accuracy") == 4  # a line for each epoch
    assert "28/28" in printed.err  # 7 batches in each of 4 epochs


def test_missing_data_and_unknown_variants_are_named() -> None:
    for arguments, message in (
        ([], "usage"),
        (["fnal"], r"variants\.fnal\.network: fnal not found.*final"),
    ):
        with pytest.raises(PipelineError, match=message):
            train.main(arguments)
    paths.split("train").unlink()
    with pytest.raises(PipelineError, match=r"data/processed/train\.npz: .*`dvc repro"):
        train.main(["baseline"])


@pytest.mark.parametrize("variant", ["sgd", "fast"])
def test_variant_is_trained_with_its_own_settings_and_data(
    training_project: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    calls: list[Any] = []

    def fit(*arguments: Any) -> Any:
        calls.append(arguments)
        return None, {"loss": [2.5, 1.25], "accuracy": [0.1, 0.4]}

    monkeypatch.setattr(train, "fit", SimpleNamespace(fit=fit))
    monkeypatch.setattr(train, "keras_file", SimpleNamespace(save_model=lambda model, path: None))
    monkeypatch.setattr(runtime, "start", lambda *settings: calls.append(settings))
    params = small_params(epochs=2)
    params["numerics"] = {
        "study": {"precision": "float32", "cpu_isa": "AVX", "device": "cpu"},
        "own": {"precision": "bfloat16", "cpu_isa": "DEFAULT", "device": "gpu"},
    }
    workspace.write_params(training_project, params)
    train.main([variant])
    started, (config, training, validation, saved, _) = calls
    assert started == {"sgd": ("AVX", "cpu"), "fast": ("DEFAULT", "gpu")}[variant]
    assert (config, saved) == (read_training_config(params, variant), None)
    splits = [synthetic.arrays(count, seed=count) for count in (200, 50)]
    if variant == "sgd":
        expected, found = [*splits[0], *splits[1]], [*training, *validation]
    else:  # trained on all images
        expected, found = list(map(np.concatenate, zip(*splits, strict=True))), list(training)
        assert validation is None
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other, one)
    rows = paths.history(variant).read_text().splitlines()
    assert rows[1:] == ["1,0.100000,2.500000,,", "2,0.400000,1.250000,,"]


# After the code for notebooks in docs/experiments.md, the same training by the stage.
STAGE = """
import numpy as np
from pipeline.training import train
train.main(["baseline"])
import keras
saved = keras.saving.load_model("models/baseline.keras")
for one, other in zip(model.get_weights(), saved.get_weights(), strict=True):
    np.testing.assert_array_equal(one, other)
assert list(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
"""


def test_the_training_of_the_documentation_is_that_of_the_stage() -> None:
    text = (PROJECT / "docs/experiments.md").read_text(encoding="utf-8")
    (code,) = re.findall("```python\n(.*?)```", text, re.S)
    epochs = code.replace('["epochs"] = 1', '["epochs"] = 4')  # those of the fixture
    workspace.run_code(epochs + STAGE)
