"""Test-time augmentation: the logits of several views of an image are averaged.

Source: the scheme of airbench (arXiv 2404.00498); that only images with an uncertain first
prediction need the other views, hiverge/cifar10-speedrun.
"""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation
from pipeline.evaluation.metrics import softmax


def predict_with_tta(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, config: InferenceConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 (N, K) of `images` float32 (N, H, W, 3), with and without augmentation.

    `predict` gives the logits of a batch. Both are divided by the temperature, which calibrates
    their softmax (Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2). Raises
    PipelineError when a logit is infinite or NaN.
    """
    tta, temperature = config
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
