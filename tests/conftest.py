"""Shared fixtures."""

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pipeline import runtime
from pipeline.core.params import read_params, read_section
from pipeline.evaluation.config import Inference, InferenceConfig, TestTimeAugmentation

if TYPE_CHECKING:
    from pipeline.plotting import Figure
    from pipeline.training.variant import TrainingConfig

PROJECT = Path(__file__).parent.parent
PARAMS = read_params(PROJECT / "params.yaml")
NO_TTA = TestTimeAugmentation(horizontal_flip=False, shift=0, confidence_threshold=1.0)

# PYTHONUNBUFFERED and the like change when a pipe breaks; a git hook sets GIT_DIR and the like.
for name in [name for name in os.environ if name.startswith(("PYTHON", "GIT_"))]:
    del os.environ[name]


@pytest.fixture(scope="session")
def tensorflow_started() -> None:
    """TensorFlow as the stages start it, for tests that use Keras."""
    runtime.start(read_section(PARAMS, "inference", Inference).cpu_isa)


@pytest.fixture
def training_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's files with small params and arrays, as the current folder."""
    import synthetic
    import workspace

    workspace.copy_files(tmp_path)
    workspace.write_params(tmp_path, small_params(epochs=4))
    synthetic.write_splits(tmp_path / "data/processed", train=200, validation=50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> "dict[str, Figure]":
    """The figures drawn by the test by file name; they are not rendered, which is slow."""
    from pipeline.plotting import Figure

    figures: dict[str, Figure] = {}

    def save(figure: Figure, path: Path, **_: object) -> None:
        figures[path.name.removeprefix(".").replace(".part.", ".")] = figure
        path.touch()

    monkeypatch.setattr(Figure, "savefig", save)
    return figures


@pytest.fixture(scope="session")
def reproduced_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one variant without compare and page, after `dvc repro`, committed."""
    import workspace

    folder = tmp_path_factory.mktemp("reproduced") / "project"
    workspace.with_stub_stages(workspace.copy_project(folder), "final")
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    del stages["compare"], stages["page"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    workspace.run(folder, "dvc", "repro", "--quiet")
    return workspace.commit(folder)


@pytest.fixture
def reproduced(reproduced_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `reproduced_once`, as the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(reproduced_once, folder, symlinks=True)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))  # as workspace.run has it
    monkeypatch.chdir(folder)
    return folder


def small_params(epochs: int) -> dict[str, Any]:
    """The project's params with narrow networks and `epochs` epochs."""
    import workspace  # which imports this module

    params = workspace.light(workspace.read_params(PROJECT))
    for recipe in params["recipes"].values():
        recipe["epochs"] = epochs
    # Four micro-batches a batch; small batches need a lower learning rate of biases.
    params["recipes"]["fast"] |= {"batch_size": 64, "micro_batch_size": 16}
    params["recipes"]["fast"]["bias_learning_rate"] = 6.0
    return params


def inference_config(tta: TestTimeAugmentation = NO_TTA, temp: float = 1.0) -> InferenceConfig:
    """The settings of an inference at the temperature `temp`."""
    return InferenceConfig(test_time_augmentation=tta, temperature=temp, rejection_threshold=0.5)


def training_config(
    name: str, recipe: Mapping[str, Any] = MappingProxyType({}), **variant: Any
) -> "TrainingConfig":
    """The settings of the variant `name` of params.yaml with changes to its `recipe` and block."""
    from pipeline.training.variant import read_training_config

    params = copy.deepcopy(PARAMS)
    params["variants"][name] |= variant
    params["recipes"][params["variants"][name]["recipe"]] |= recipe
    return read_training_config(params, name)
