"""What all tests share."""

from pathlib import Path

import pytest

from pipeline import config, runtime

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def tensorflow_started() -> None:
    """TensorFlow as the stages start it; for every test that uses Keras in this process."""
    params = config.read(PROJECT / "params.yaml")
    runtime.start(config.section(params, "runtime", runtime.Runtime))
