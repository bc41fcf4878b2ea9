"""Opening a trained model and asking it about images. Call runtime.start first."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.base.errors import PipelineError
from pipeline.evaluate import views
from pipeline.evaluate.manner import Manner
from pipeline.report import places
from pipeline.runtime import Lazy

keras = Lazy("keras")
portable = Lazy("pipeline.evaluate.portable")


def load(variant: str) -> Any:
    """The network of `variant` up to its softmax; PipelineError when its file cannot be read."""
    file, remedy = places.model(variant), f"run `dvc repro train@{variant}`"
    if not file.is_file():
        raise PipelineError(f"{file}: expected a trained model, found no such file; {remedy}")
    try:
        return portable.portable(keras.saving.load_model(file, compile=False, safe_mode=True))
    except Exception as error:  # a damaged file fails wherever the damage lies, in any library
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"{file}: expected a Keras model, found a damaged or foreign file ({reason}); "
            f"delete it and {remedy}"
        ) from error


def answers(
    model: Any, images: np.ndarray, *, batch_size: int, variant: str, manner: Manner
) -> tuple[np.ndarray, np.ndarray]:
    """What `model` gives before the softmax, float64 (N, K): by its `manner`, and by one view.

    `images` are float32 (N, S, S, 3) in [0, 1].

    Raises PipelineError, naming the file of `variant`, when the model takes no such images or
    gives no finite numbers.
    """
    expect(model.input_shape[1:], images.shape[1:], "input", variant)
    model.make_predict_function()  # once, before several threads would

    # Not by `predict`, whose end waits for a sleeping thread of tf.data: 20 s where this takes 13.
    def ask(view: np.ndarray) -> np.ndarray:
        parts = [view[start : start + batch_size] for start in range(0, len(view), batch_size)]
        with ThreadPoolExecutor(runtime.threads()) as pool:
            return np.concatenate(list(pool.map(model.predict_on_batch, parts)))

    found, alone = views.asked(ask, images, manner.views, manner.temperature)
    if not np.isfinite(found).all():
        raise PipelineError(
            f"{places.model(variant)}: expected finite numbers before the softmax, found "
            f"values from {found.min()} to {found.max()}; lower learning_rate, as its training "
            f"diverged, and run `dvc repro train@{variant}`"
        )
    return found, alone


def expect(found: tuple[int, ...], expected: tuple[int, ...], side: str, variant: str) -> None:
    """PipelineError unless the shape `found` at that `side` of the model of `variant` is right."""
    if tuple(found) != tuple(expected):
        raise PipelineError(
            f"{places.model(variant)}: expected an {side} of shape {expected}, found {found}; "
            f"run `dvc repro train@{variant}`"
        )
