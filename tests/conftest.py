"""What all tests share."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import config, runtime

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def tensorflow_started() -> None:
    """TensorFlow as the stages start it; for every test that uses Keras in this process."""
    params = config.read(PROJECT / "params.yaml")
    runtime.start(config.section(params, "runtime", runtime.Runtime))


@pytest.fixture
def trains_here(tensorflow_started: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets train.main run in this process, whatever hardware its recipe names.

    TensorFlow reads its threads once a process, and all tests share one. What a recipe computes
    side by side then comes one after another, to the same bits.
    """
    monkeypatch.setattr(runtime, "start", lambda hardware: None)


def small_params(epochs: int) -> dict[str, Any]:
    """The project's params with light networks and `epochs` epochs a recipe."""
    import workspace  # which imports this module

    params = workspace.light(workspace.read_params(PROJECT))
    for recipe in params["recipes"].values():
        recipe["epochs"] = epochs
    # Two groups of two micro-batches; with batches so small, less of a rate for biases.
    params["recipes"]["fast"] |= {
        "batch_size": 64,
        "micro_batch_size": 16,
        "bias_learning_rate": 6.0,
        "growth": {"px24": 1},
    }
    return params
