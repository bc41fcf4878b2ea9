"""Stage train: its files, its progress, and that the same inputs give the same bytes."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import synthetic
import workspace
from conftest import PROJECT, small_params

from pipeline import runtime
from pipeline.base.errors import PipelineError
from pipeline.report import history, places
from pipeline.train import stage as train

pytestmark = pytest.mark.usefixtures("tensorflow_started")
COUNTS = {"train": 300, "validation": 100}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's files with small params (two epochs) and arrays, as the current folder."""
    workspace.copy_files(tmp_path)
    workspace.write_params(tmp_path, small_params(epochs=2))
    synthetic.write_splits(tmp_path / "data/processed", **COUNTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs(variant: str) -> list[Path]:
    return [places.model(variant), places.history(variant)]


def test_training_repeats_its_bytes(project: Path) -> None:
    train.main(["deep"])
    first = [path.read_bytes() for path in outputs("deep")]
    train.main(["deep"])
    assert [path.read_bytes() for path in outputs("deep")] == first
    assert not list(project.rglob("*.part*"))


def test_threads_side_by_side_repeat_their_bytes(project: Path) -> None:
    twice = (
        "import hashlib; from pathlib import Path; from pipeline.train import stage\n"
        "for _ in range(2):\n"
        "    stage.main(['fast'])\n"
        f"    for path in {[str(path) for path in outputs('fast')]}:\n"
        "        print(hashlib.sha256(Path(path).read_bytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", twice],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    digests = re.findall(r"^[0-9a-f]{64}$", done.stdout, re.MULTILINE)
    assert len(digests) == 4
    assert digests[:2] == digests[2:]


def test_saved_model_is_the_trained_one_and_needs_no_code_of_ours(project: Path) -> None:
    import keras

    train.main(["deep"])
    rows = places.history("deep").read_text().splitlines()
    assert rows[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]
    model = keras.saving.load_model(places.model("deep"))
    assert not model.compiled  # and so no optimizer state in the file
    images, labels = synthetic.arrays(100, seed=100)
    probabilities = model.predict_on_batch(images)
    right = probabilities.argmax(axis=1) == labels.argmax(axis=1)
    accuracy, loss = map(float, rows[-1].split(",")[3:])
    assert right.mean() == pytest.approx(accuracy, abs=1e-6)
    assert -np.log((probabilities * labels).sum(axis=1)).mean() == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("variant", ["baseline", "fast"])
def test_seed_decides(project: Path, variant: str) -> None:
    train.main([variant])
    first = places.model(variant).read_bytes()
    params = small_params(epochs=2)
    params["variants"][variant]["seed"] = 2
    workspace.write_params(project, params)
    train.main([variant])
    assert places.model(variant).read_bytes() != first


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


class Given(Exception):
    """What `fit` is asked for, in place of a training."""


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*arguments: Any) -> None:
        raise Given(*arguments)

    monkeypatch.setattr(train, "fit", SimpleNamespace(fit=fit))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("variant", ["baseline", "fast"])
def test_images_are_trained_and_held_out_as_the_recipe_says(project: Path, variant: str) -> None:
    with pytest.raises(Given) as caught:
        train.main([variant])
    _, _, _, _, training, held_out, saved, _ = caught.value.args
    parts = [synthetic.arrays(count, seed=count) for count in COUNTS.values()]
    if variant == "baseline":
        expected = [*parts[0], *parts[1]]
        found = [*training, *held_out]
    else:  # every image is trained, and none is left to watch the training by
        expected = [np.concatenate(both) for both in zip(*parts, strict=True)]
        found = [*training]
        assert held_out is None
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert saved is None


@pytest.mark.usefixtures("no_training")
def test_variant_is_trained_by_its_own_recipe_and_precision(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = small_params(epochs=2)
    params["arithmetic"]["own"]["precision"] = "bfloat16"
    params["arithmetic"]["own"]["cpu_isa"] = "DEFAULT"
    workspace.write_params(project, params)
    monkeypatch.setattr(runtime, "start", lambda cpu_isa: None)
    for name in ("sgd", "fast"):
        with pytest.raises(Given) as caught:
            train.main([name])
        named, what, how, precision, *_ = caught.value.args
        recipe = params["recipes"][params["variants"][name]["recipe"]]
        assert named == name
        assert what.model_dump(mode="json") == params["variants"][name]
        assert how.model_dump(mode="json") == recipe
        assert precision == {"sgd": "float32", "fast": "bfloat16"}[name]


def test_figures_of_validation_are_blank_where_none_is_held_out() -> None:
    table = history.table({"loss": [2.5, 1.25], "accuracy": [0.1, 0.4]})
    assert table.splitlines()[1:] == ["1,0.100000,2.500000,,", "2,0.400000,1.250000,,"]


@pytest.mark.usefixtures("no_training")
def test_tensorflow_is_started_with_the_instructions_that_the_variant_names(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(runtime, "start", started.append)
    params = small_params(epochs=2)
    params["arithmetic"]["study"]["cpu_isa"] = "AVX"
    workspace.write_params(project, params)
    with pytest.raises(Given):
        train.main(["sgd"])
    assert started == ["AVX"]
