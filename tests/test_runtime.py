"""TensorFlow's setup: which devices it sees, and what a later start may not change.

The number of threads is tested with the environment, in test_environment.py.
"""

import os
import sys
from contextlib import nullcontext
from typing import Any

import lazy
import pytest

from pipeline import runtime
from pipeline.core.errors import PipelineError

pytestmark = pytest.mark.usefixtures("tensorflow_started")
CPU_ISA = "AVX2"  # that of the fixture


@pytest.mark.parametrize(
    ("device", "gpus", "hidden"),
    [("cpu", ["GPU:0"], [([], "GPU")]), ("cpu", [], []), ("gpu", ["GPU:0"], []), ("gpu", [], [])],
)
def test_gpus_are_hidden_unless_the_device_is_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: list[str], hidden: list[Any]
) -> None:
    calls: list[Any] = []
    config = lazy.tf.config
    monkeypatch.setattr(config, "get_visible_devices", {"GPU": gpus}.__getitem__)
    monkeypatch.setattr(config, "set_visible_devices", lambda *call: calls.append(call))
    is_missing = device == "gpu" and not gpus
    with pytest.raises(PipelineError, match="device: ") if is_missing else nullcontext():
        runtime.start(CPU_ISA, device)
    assert calls == hidden


def test_other_settings_in_the_same_process_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy.tf.zeros(1)  # TensorFlow fixes its threads at the first operation
    monkeypatch.setenv("THREADS", str(runtime.threads() + 1))
    with pytest.raises(PipelineError, match="inter-op threads"):
        runtime.start(CPU_ISA)
    monkeypatch.undo()
    with pytest.raises(PipelineError, match="TensorFlow was imported before"):
        runtime.start("SSE41")
    runtime.start(CPU_ISA)


def test_settings_of_the_user_are_overridden() -> None:
    from tensorflow.python.framework.config import is_op_determinism_enabled

    keras = lazy.keras.config
    keras.set_floatx("float16")
    keras.set_epsilon(1e-3)
    keras.set_image_data_format("channels_first")
    runtime.start(CPU_ISA)
    assert (keras.floatx(), keras.epsilon()) == ("float32", 1e-7)
    assert keras.image_data_format() == "channels_last"
    assert is_op_determinism_enabled()
    assert lazy.tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert sys.dont_write_bytecode  # of code converted by TensorFlow, in the temporary folder


def test_silenced_stderr_returns(capfd: pytest.CaptureFixture[str]) -> None:
    with runtime.silence_stderr():
        os.write(2, b"a note of C++\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"
