"""TensorFlow, started so that every machine computes the same bits: the only place it is set up."""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import pydantic

from pipeline.base.errors import PipelineError
from pipeline.base.params_file import Section


class Lazy:
    """The module `name`, imported when it is first used.

    For modules that are read by whoever checks params.yaml, too, which should not wait 4 s for
    TensorFlow; nor may anything import that before `start`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


CpuIsa = Literal["SSE41", "AVX", "AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT"]


class Runtime(Section):
    """How trained models are asked, in evaluation and prediction."""

    cpu_isa: CpuIsa
    # Images; it splits the sums, so it decides bits, too.
    inference_batch_size: Annotated[int, pydantic.Field(gt=0, le=100_000)]


def threads() -> int:
    """How many threads work side by side: THREADS of the environment, else a core each.

    Never a matter of results, as what each computes is fixed, and so is the order in which that is
    put together. Raises PipelineError when THREADS is no number from 1 to 1024.
    """
    given = os.environ.get("THREADS")
    if given is None:
        # Of the cores of a machine, a job may be allowed some.
        affinity = getattr(os, "sched_getaffinity", None)  # Linux's alone
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not re.fullmatch(r"\d{1,4}", given) or not 1 <= int(given) <= 1024:
        raise PipelineError(
            f"the environment has THREADS={given}: expected a number from 1 to 1024; correct it, "
            "or `unset THREADS` for a thread a core"
        )
    return int(given)


def start(cpu_isa: str) -> None:
    """Import TensorFlow with `cpu_isa` as oneDNN's widest instructions, and fixed float formats.

    Each operation is the work of one thread; `threads` operations are worked on side by side. Must
    come before anything else imports TensorFlow, which reads these variables once. Raises
    PipelineError when it was imported earlier under other settings.
    """
    # TensorFlow switches oneDNN on by itself only on newer CPUs, and oneDNN picks the widest
    # instructions it finds; a user's environment may allow lower precision or XLA. All change
    # the bits.
    wanted = {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": cpu_isa,
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
    with silenced():
        import keras
        import tensorflow as tf

    # TensorFlow imports the code that it converts from files in the temporary folder, and Python
    # would leave a compiled copy of each there for ever.
    sys.dont_write_bytecode = True
    # Two threads would cut an operation's sums otherwise than one.
    wished = (1, threads())
    threading = tf.config.threading
    now = (
        threading.get_intra_op_parallelism_threads(),
        threading.get_inter_op_parallelism_threads(),
    )
    if now != wished:
        try:
            threading.set_intra_op_parallelism_threads(wished[0])
            threading.set_inter_op_parallelism_threads(wished[1])
        except RuntimeError as error:
            raise PipelineError(
                f"TensorFlow already runs with {now[0]} threads an operation and {now[1]} "
                f"operations at once, not {wished[0]} and {wished[1]}; call start first, in a "
                "process of its own"
            ) from error
    tf.config.experimental.enable_op_determinism()
    # A user's own ~/.keras/keras.json may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


@contextmanager
def silenced() -> Iterator[None]:
    """No standard error from C++ meanwhile: TensorFlow 2.21 prints six notes at its import, LiteRT
    one, which no setting of them stops. Python's own errors are raised, so they are not lost."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
