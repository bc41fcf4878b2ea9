"""Logits of a trained Keras model. Call runtime.start first."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.evaluation.config import InferenceConfig
from pipeline.evaluation.test_time_augmentation import predict_with_tta
from pipeline.runtime import Lazy

keras = Lazy("keras")
deterministic = Lazy("pipeline.evaluation.deterministic")


def load_model(variant: str, classes: int) -> Any:
    """The model of `variant` up to its softmax, see deterministic.py.

    Raises PipelineError when its file cannot be read or has not that many `classes`.
    """
    path = paths.model(variant)
    try:
        trained = keras.saving.load_model(path, compile=False, safe_mode=True)
        model = deterministic.make_deterministic(trained)
        if model.output_shape != (None, classes):
            raise ValueError(f"its output is {model.output_shape} for {classes} classes")
    except Exception as error:  # a damaged file raises any exception, of any library
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"{path}: expected a Keras model, found a missing, damaged or foreign file ({reason}); "
            f"delete it and run `dvc repro train@{variant}`"
        ) from error
    return model


def predict_logits(
    model: Any, images: np.ndarray, *, batch_size: int, config: InferenceConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 (N, K) of `images` float32 (N, S, S, 3) in [0, 1], with and without
    test-time augmentation, both divided by the temperature.

    Raises PipelineError when a logit is infinite or NaN.
    """
    model.make_predict_function()  # once, before several threads would

    # Not by `predict`, which waits at its end for a sleeping thread of tf.data: 20 s instead of 13.
    def predict(view: np.ndarray) -> np.ndarray:
        batches = [view[start : start + batch_size] for start in range(0, len(view), batch_size)]
        with ThreadPoolExecutor(runtime.threads()) as pool:
            return np.concatenate(list(pool.map(model.predict_on_batch, batches)))

    return predict_with_tta(predict, images, config)
