"""Logits of a trained Keras model, test-time augmentation, and calibration.

Test-time augmentation averages the logits of several views of an image, by the scheme of airbench
(arXiv 2404.00498); that only images with an uncertain first prediction need the other views is of
hiverge/cifar10-speedrun. Call runtime.start before a Keras model.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.splits import FEATURES, Split
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation
from pipeline.evaluation.metrics import cross_entropy, softmax
from pipeline.runtime import Lazy

keras = Lazy("keras")
deterministic = Lazy("pipeline.evaluation.deterministic")

# A grid in steps of 2 %: a finer optimum would depend on the last bits of exp, in which processors
# differ.
TEMPERATURES = np.geomspace(0.05, 20, 304).round(3)


def load_model(variant: str, classes: int) -> Any:
    """The model of `variant` up to its softmax; PipelineError if unreadable or not of `classes`."""
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


def head_of(model: Any, shape: tuple[int, ...]) -> Any:
    """The layers of `model` that follow its features, from those of splits.py, (N, *shape)."""
    inputs = keras.Input(shape)
    head = keras.Model(model.get_layer(FEATURES).output, model.output)
    return keras.Model(inputs, head(inputs[:, :, : shape[1] // 2]))


def predict_logits(
    model: Any, images: np.ndarray, *, batch_size: int, config: InferenceConfig
) -> tuple[np.ndarray, np.ndarray]:
    """The results of `predict_with_tta` for `images` float32 (N, S, S, 3) in [0, 1]."""
    model.make_predict_function()  # once, before several threads would

    def predict_batch(batch: np.ndarray) -> Any:
        # One image alone is computed by operations whose last bits differ between processors.
        padded = np.repeat(batch, 2, axis=0) if len(batch) == 1 else batch
        return model.predict_on_batch(padded)[: len(batch)]

    # Not by `predict`, which waits at its end for a sleeping thread of tf.data: 20 s instead of 13.
    def predict(view: np.ndarray) -> np.ndarray:
        batches = [view[start : start + batch_size] for start in range(0, len(view), batch_size)]
        with ThreadPoolExecutor(runtime.threads()) as pool:
            return np.concatenate(list(pool.map(predict_batch, batches)))

    return predict_with_tta(predict, images, config)


def predict_with_tta(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, config: InferenceConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 (N, K) of `images` float32 (N, H, W, 3), with and without augmentation.

    `predict` gives the logits of a batch. Both are divided by the temperature, which calibrates
    their softmax (Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2). Raises
    PipelineError when a logit is infinite or NaN.
    """
    tta, temperature = config.test_time_augmentation, config.temperature
    no_tta = predict(images).astype(np.float64)
    logits = no_tta.copy()
    with np.errstate(invalid="ignore"):  # NaN are refused below
        uncertain = softmax(no_tta / temperature).max(axis=1) < tta.confidence_threshold
    if uncertain.any():
        (weight, _), *others = _weighted_views(images[uncertain], tta)
        logits[uncertain] *= weight
        for weight, view in others:
            logits[uncertain] += weight * predict(view).astype(np.float64)
    if not np.isfinite(logits).all():
        raise PipelineError(
            "logits: expected finite numbers, found infinity or NaN: the training diverged; lower "
            "the learning_rate of its recipe and train again"
        )
    return logits / temperature, no_tta / temperature


def _weighted_views(
    images: np.ndarray, tta: TestTimeAugmentation
) -> Iterator[tuple[float, np.ndarray]]:
    """The views and their weights, which sum to 1; the first is `images`.

    The unshifted views weigh as much as both shifted ones together.
    """
    reach = tta.shift
    shifts = {0: 0.5, -reach: 0.25, reach: 0.25} if reach else {0: 1.0}
    edges = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(images, edges, mode="symmetric")
    height, width = images.shape[1:3]
    for shift, weight in shifts.items():
        start = reach + shift
        view = padded[:, start : start + height, start : start + width]
        views = (view, view[:, :, ::-1]) if tta.horizontal_flip else (view,)
        yield from ((weight / len(views), view) for view in views)


def calibrate(
    predict: Callable[..., tuple[np.ndarray, np.ndarray]],
    split: Split,
    config: InferenceConfig,
    rejection_rate: float,
) -> InferenceConfig:
    """`config` with a temperature and a rejection threshold fitted on the images of `split`.

    `predict` is `predict_logits` with a model. The temperature has the lowest cross-entropy (Guo et
    al., section 4.2). Its logarithm has a normal prior of mean 0: the cross-entropy of a few images
    that are all classified correctly would fall down to temperature 0. Of deviations from 0.25 to
    1, 0.5 was best after fits on 10 and 30 validation images of CIFAR-10, on the others. Of the
    share `rejection_rate` the most probable class has a probability below the threshold.
    """
    confidence_threshold = config.test_time_augmentation.confidence_threshold
    tta = config.test_time_augmentation.model_copy(update={"confidence_threshold": math.inf})
    every_view = {"test_time_augmentation": tta, "temperature": 1.0}
    with_tta, no_tta = predict(split.images, config=config.model_copy(update=every_view))
    labels = split.labels.argmax(axis=1)

    def logits(temperature: float) -> np.ndarray:
        is_certain = softmax(no_tta / temperature).max(axis=1) >= confidence_threshold
        return np.where(is_certain[:, None], no_tta, with_tta) / temperature

    losses = [
        len(labels) * cross_entropy(labels, logits(value)) + (np.log(value) / 0.5) ** 2 / 2
        for value in TEMPERATURES
    ]
    temperature = float(TEMPERATURES[np.argmin(losses)])
    confidence = softmax(logits(temperature)).max(axis=1)
    threshold = math.floor(1000 * np.quantile(confidence, rejection_rate)) / 1000
    return config.model_copy(update={"temperature": temperature, "rejection_threshold": threshold})
