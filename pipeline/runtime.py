"""TensorFlow, started so that every machine computes the same bits: the only place it is set up."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from pipeline.base.errors import PipelineError
from pipeline.base.params_file import Section

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


Threads = Annotated[int, pydantic.Field(gt=0, le=1024)]


class Lazy:
    """The module `name`, imported when it is first used.

    For modules that are read by whoever checks params.yaml, too, which should not wait 4 s for
    TensorFlow; nor may anything import that before `start`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


class Hardware(Section):
    """What decides the bits beside the seed: threads and oneDNN's instruction set."""

    threads_per_operation: Threads
    operations_at_once: Threads
    cpu_isa: Literal["SSE41", "AVX", "AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT"]


class Runtime(Hardware):
    """How trained models are asked, in evaluation and prediction."""

    # Images; it splits the sums, so it decides bits too.
    inference_batch_size: Annotated[int, pydantic.Field(gt=0, le=100_000)]


def start(hardware: Hardware) -> None:
    """Import TensorFlow with fixed threads, instruction set and float format.

    Must come before anything else imports TensorFlow, which reads these variables once. Raises
    PipelineError when it was imported earlier under other settings.
    """
    # TensorFlow switches oneDNN on by itself only on newer CPUs, and oneDNN picks the widest
    # instructions it finds; a user's environment may allow lower precision or XLA. All change
    # the bits.
    wanted = {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": hardware.cpu_isa,
        "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
        "TF_XLA_FLAGS": "",
        "KERAS_BACKEND": "tensorflow",
    }
    if "tensorflow" in sys.modules and any(os.environ.get(k) != v for k, v in wanted.items()):
        raise PipelineError(
            "TensorFlow was imported before pipeline.runtime.start could fix its instruction set; "
            "call start first, in a process of its own"
        )
    os.environ.update(wanted)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a missing GPU counts as an error below
    with _silenced():
        import keras
        import tensorflow as tf

    threads = hardware.threads_per_operation, hardware.operations_at_once
    threading = tf.config.threading
    now = (
        threading.get_intra_op_parallelism_threads(),
        threading.get_inter_op_parallelism_threads(),
    )
    if now != threads:
        try:
            threading.set_intra_op_parallelism_threads(threads[0])
            threading.set_inter_op_parallelism_threads(threads[1])
        except RuntimeError as error:
            raise PipelineError(
                f"TensorFlow already runs with {now[0]} threads_per_operation and {now[1]} "
                f"operations_at_once, not {threads[0]} and {threads[1]}; call start first, in a "
                "process of its own"
            ) from error
    tf.config.experimental.enable_op_determinism()
    # A user's own ~/.keras/keras.json may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def expect_bfloat16(key: str) -> None:
    """Raise PipelineError, naming the parameter `key`, where bfloat16 would only be emulated.

    To be called after `start`.
    """
    import tensorflow as tf

    flags = cpu_flags()
    if flags and not flags & BFLOAT16_FLAGS and not tf.config.list_physical_devices("GPU"):
        raise PipelineError(
            f"params.yaml: {key}: bfloat16 needs a processor with AVX512_BF16 or AMX, or a GPU; "
            "this machine would take many times as long as in float32: set float32, and cpu_isa "
            "beside it to AVX2"
        )


def cpu_flags() -> set[str]:
    """What Linux says this processor can do; empty on other systems."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    return set()


@contextmanager
def _silenced() -> Iterator[None]:
    """No standard error from C++ meanwhile: TensorFlow 2.21 prints six notes at its import, which
    no setting of it stops. Python's own errors are raised, so they are not lost."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
