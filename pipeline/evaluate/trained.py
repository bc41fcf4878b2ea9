"""Opening a trained model and asking it for probabilities. Call runtime.start first."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data.cifar10 import CLASSES
from pipeline.evaluate import views
from pipeline.evaluate.views import ONE, Views
from pipeline.report import places
from pipeline.runtime import Lazy

keras = Lazy("keras")
fixed_normalization = Lazy("pipeline.evaluate.fixed_normalization")


def load(variant: str) -> Any:
    """The Keras model of `variant` without its optimizer; PipelineError when it cannot be read."""
    file, remedy = places.model(variant), f"run `dvc repro train@{variant}`"
    if not file.is_file():
        raise PipelineError(f"{file}: expected a trained model, found no such file; {remedy}")
    try:
        return fixed_normalization.fixed(
            keras.saving.load_model(file, compile=False, safe_mode=True)
        )
    except Exception as error:  # a damaged file fails wherever the damage lies, in any library
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"{file}: expected a Keras model, found a damaged or foreign file ({reason}); "
            f"delete it and {remedy}"
        ) from error


def probabilities(
    model: Any, images: np.ndarray, *, batch_size: int, variant: str, seen: Views
) -> np.ndarray:
    """Class probabilities float32 (N, 10) for `images` float32 (N, 32, 32, 3) in [0, 1].

    They are averaged over the views `seen`.

    Raises PipelineError, naming the file of `variant`, when the model takes no such images or
    gives no such probabilities.
    """
    _expect(model.input_shape[1:], images.shape[1:], "input", variant)
    _expect(model.output_shape[1:], (len(CLASSES),), "output", variant)

    # Not by `predict`, whose end waits for a sleeping thread of tf.data: 20 s where this takes 13.
    def ask(view: np.ndarray) -> np.ndarray:
        starts = range(0, len(view), batch_size)
        return np.concatenate(
            [model.predict_on_batch(view[start : start + batch_size]) for start in starts]
        )

    found = views.probabilities(ask, images, seen)
    if not np.allclose(found.sum(axis=1), 1, atol=1e-3):  # false for NaN, too
        raise PipelineError(
            f"{places.model(variant)}: expected probabilities that sum to 1 for each image, found "
            f"values from {found.min()} to {found.max()}; end the network in a softmax, or lower "
            f"learning_rate if its training diverged, and run `dvc repro train@{variant}`"
        )
    return found


def seen_from(params: Mapping[str, Any], model: Any) -> Views:
    """The views that params.yaml gives for the network of `model`, by which the model is named.

    The image alone for a network that has none there.
    """
    if model.name not in params_file.at(params, "views"):
        return ONE
    found: Views = params_file.section(params, f"views.{model.name}", Views)
    return found


def cross_entropy(model: Any, images: np.ndarray, one_hot: np.ndarray, *, batch_size: int) -> float:
    """The mean loss over `images` against labels float32 (N, 10), as Keras itself reports it.

    Keras takes it from the numbers before the softmax, where a confident mistake costs what it
    costs; from the probabilities it would be cut off at -ln 1e-7 = 16.1.
    """
    model.compile(loss="categorical_crossentropy")
    return float(model.evaluate(images, one_hot, batch_size=batch_size, verbose=0))


def _expect(found: tuple[int, ...], expected: tuple[int, ...], side: str, variant: str) -> None:
    if tuple(found) != tuple(expected):
        raise PipelineError(
            f"{places.model(variant)}: expected an {side} of shape {expected}, found {found}; "
            f"run `dvc repro train@{variant}`"
        )
