"""TensorFlow, started so that every machine computes the same bits: the only place it is set up."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pydantic

from pipeline.config import Section
from pipeline.errors import PipelineError


class Runtime(Section):
    """What decides the bits beside the seed: threads and oneDNN's instruction set."""

    threads: pydantic.PositiveInt
    inference_batch_size: pydantic.PositiveInt  # images; splits the sums, so it decides bits too
    cpu_isa: Literal["SSE41", "AVX", "AVX2", "AVX512_CORE", "DEFAULT"]


def start(runtime: Runtime) -> None:
    """Import TensorFlow with fixed threads, instruction set and float format.

    Must come before anything else imports TensorFlow, which reads these variables once. Raises
    PipelineError when it was imported earlier under other settings.
    """
    # TensorFlow switches oneDNN on by itself only on newer CPUs, and oneDNN picks the widest
    # instructions it finds; a user's environment may allow lower precision or XLA. All change
    # the bits.
    wanted = {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": runtime.cpu_isa,
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

    if tf.config.threading.get_intra_op_parallelism_threads() != runtime.threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(runtime.threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError as error:
            raise PipelineError(
                f"TensorFlow already runs with other threads than runtime.threads = "
                f"{runtime.threads}; call start first, in a process of its own"
            ) from error
    tf.config.experimental.enable_op_determinism()
    # A user's own ~/.keras/keras.json may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


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
