"""TensorFlow set up for reproducible results: the only place that configures it."""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from pipeline.core.errors import PipelineError


class Lazy:
    """The module `name`, imported on first use.

    For modules that are also read when params.yaml is checked, which should not wait 4 s for
    TensorFlow; nor may anything import that before `start`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


CpuIsa: TypeAlias = Literal["SSE41", "AVX", "AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT"]
Device: TypeAlias = Literal["cpu", "gpu"]


def threads() -> int:
    """The number of inter-op threads: THREADS of the environment, else one per available core.

    Never changes results: what each thread computes is fixed, and so is the order in which that is
    combined. Raises PipelineError when THREADS is no number from 1 to 1024.
    """
    value = os.environ.get("THREADS")
    if value is None:
        affinity = getattr(os, "sched_getaffinity", None)  # on Linux alone
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not re.fullmatch(r"\d{1,4}", value) or not 1 <= int(value) <= 1024:
        raise PipelineError(
            f"the environment has THREADS={value}: expected a number from 1 to 1024; correct it, "
            "or `unset THREADS` for a thread per core"
        )
    return int(value)


def start(cpu_isa: str, device: str = "cpu") -> None:
    """Import TensorFlow with `cpu_isa` as oneDNN's widest instruction set and fixed float formats.

    Each operation runs in a single thread; `threads` operations run in parallel. GPUs are hidden
    unless `device` is "gpu". Must precede any other import of TensorFlow, which reads these
    variables once. Raises PipelineError when it was imported earlier with other settings, or there
    is no GPU.
    """
    # TensorFlow enables oneDNN by itself only on newer CPUs, and oneDNN uses the widest instruction
    # set it finds; a user's environment may allow lower precision or XLA. All change the bits.
    environment = {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": cpu_isa,
        "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
        "TF_XLA_FLAGS": "",
        "KERAS_BACKEND": "tensorflow",
    }
    if "tensorflow" in sys.modules and any(os.environ.get(k) != v for k, v in environment.items()):
        raise PipelineError(
            "TensorFlow was imported before pipeline.runtime.start could fix its instruction set; "
            "call start first, in a process of its own"
        )
    os.environ.update(environment)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without a GPU, it logs an error
    with silence_stderr():
        import keras
        import tensorflow as tf

    # TensorFlow imports the code that it converts from files in the temporary folder, and Python
    # would leave a compiled copy of each there for ever.
    sys.dont_write_bytecode = True
    _select_device(tf, device)
    _set_threads(tf)
    tf.config.experimental.enable_op_determinism()
    # A user's own ~/.keras/keras.json may differ.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def _select_device(tf: Any, device: str) -> None:
    if device == "cpu":
        # Kernels of a GPU round otherwise. After its first use TensorFlow refuses to hide it.
        if tf.config.get_visible_devices("GPU"):
            tf.config.set_visible_devices([], "GPU")
    elif not tf.config.get_visible_devices("GPU"):
        raise PipelineError(
            "device: expected a GPU that TensorFlow can use, found none; install its driver and "
            "CUDA, see docs/speed.md, or set device: cpu under numerics in params.yaml"
        )


def _set_threads(tf: Any) -> None:
    # Intra-op threads change the order of summation, so each operation gets one.
    expected = (1, threads())
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(expected[0])
        threading.set_inter_op_parallelism_threads(expected[1])
    except RuntimeError as error:  # after the first operation, for another number alone
        raise PipelineError(
            f"TensorFlow already runs with {threading.get_intra_op_parallelism_threads()} intra-op "
            f"and {threading.get_inter_op_parallelism_threads()} inter-op threads, not "
            f"{expected[0]} and {expected[1]}; call start first, in a process of its own"
        ) from error


@contextmanager
def silence_stderr() -> Iterator[None]:
    """Discard what C++ writes to standard error: TensorFlow 2.21 prints six notes at its import,
    LiteRT one, which no setting prevents. Python's exceptions are raised as usual."""
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
