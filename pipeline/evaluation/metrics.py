"""Metrics of predictions, in plain NumPy, and metrics.json.

Throughout, `labels` are true class indices, integers (N,), and `probabilities` float (N, K) with
rows that sum to 1; N is at least 1. A tie between classes goes to the lower index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import ConfigModel

CALIBRATION_BINS = 15  # as Guo et al. have
DECIMALS = 6  # 10,000 images resolve 0.0001; float32 probabilities have about seven digits
# Options of pandas' to_csv: the same bytes on every system.
CSV: dict[str, Any] = {"index": False, "float_format": f"%.{DECIMALS}f", "lineterminator": "\n"}


@dataclass(frozen=True)
class Predictions:
    """Logits float64 (N, K) of the test images, with and without test-time augmentation."""

    labels: np.ndarray
    logits: np.ndarray
    logits_no_tta: np.ndarray
    rejection_threshold: float  # as in params.yaml
    temperature: float  # by which the logits are divided

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The softmax of the logits, float32 (N, K)."""
        return softmax(self.logits)

    @property
    def confusion(self) -> np.ndarray:
        """Counts int64 (K, K), rows the true classes, columns the predicted ones."""
        classes = self.probabilities.shape[1]
        return confusion_matrix(self.labels, self.probabilities.argmax(axis=1), classes)


class Metrics(ConfigModel, extra="allow"):
    """metrics.json: these three, and one for each other name of METRICS."""

    __pydantic_extra__: dict[str, float]
    accuracy: Annotated[float, pydantic.Field(ge=0, le=1)]
    loss: pydantic.NonNegativeFloat
    parameters: pydantic.NonNegativeInt


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float32 (N, K) from `logits` float64 (N, K).

    Computed in float64: processors differ in the last bits of exp, which float32 does not show.
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def cross_entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    """The mean of -ln p of the true class, in nats, for p the softmax of `logits` float64 (N, K).

    From logits, as probabilities rounded to 0 would have to be clipped.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    true = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - true).mean())


def accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    """The share of images whose true class has the highest of `scores` (N, K)."""
    return float((scores.argmax(axis=1) == labels).mean())


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 (K, K): row i, column j has the images of class i predicted as class j."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, -1)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Per class, arrays (K,): precision, recall and F1 in [0, 1], and the support, its images.

    0 / 0 counts as 0, as scikit-learn's zero_division=0: the precision of a class never predicted,
    the recall of a class without images, the F1 of a class with neither.
    """
    hits, predicted, support = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    return {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(predicted + support, 1),
        "support": support,
    }


def calibration_curve(
    confidence: np.ndarray, correct: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images by confidence in `bins` of equal width, bin m being ((m - 1) / bins, m / bins].

    `confidence` are float (N,) in [0, 1], `correct` bool (N,). Returns arrays (bins,): numbers of
    images int64, sums of their confidences float64, and numbers of correct ones float64.
    """
    index = np.digitize(confidence.astype(np.float64), np.arange(1, bins) / bins, right=True)
    return (
        np.bincount(index, minlength=bins),
        np.bincount(index, weights=confidence, minlength=bins),
        np.bincount(index, weights=correct, minlength=bins),
    )


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Expected calibration error in [0, 1]: |mean confidence - accuracy| of each bin of
    `calibration_curve`, averaged with the bins' numbers of images as weights.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    correct = probabilities.argmax(axis=1) == labels
    _, confidence, hits = calibration_curve(probabilities.max(axis=1), correct, bins)
    return float(np.abs(confidence - hits).sum() / len(labels))


# A new metric is a line here; to show it in the comparison, add a column to METRICS of
# pipeline/comparison/tables.py.
METRICS: dict[str, Callable[[Predictions], float]] = {
    "accuracy": lambda p: accuracy(p.labels, p.probabilities),
    "loss": lambda p: cross_entropy(p.labels, p.logits),
    "macro_f1": lambda p: float(class_scores(p.confusion)["f1"].mean()),
    "calibration_error": lambda p: calibration_error(p.labels, p.probabilities, CALIBRATION_BINS),
    "accuracy_no_tta": lambda p: accuracy(p.labels, p.logits_no_tta),
    # Test images show one of the classes, so this is the false-rejection rate.
    "rejection_rate": lambda p: float((p.probabilities.max(axis=1) < p.rejection_threshold).mean()),
    "rejection_threshold": lambda p: p.rejection_threshold,
    "temperature": lambda p: p.temperature,
}


def compute_metrics(predictions: Predictions, parameters: int) -> Metrics:
    """All metrics of a model with that many `parameters`, rounded to DECIMALS."""
    values = {name: round(metric(predictions), DECIMALS) for name, metric in METRICS.items()}
    return Metrics.model_validate({**values, "parameters": parameters})


def read_metrics(variant: str, root: Path = Path()) -> Metrics:
    """The metrics of `variant` in the project at `root`; PipelineError if missing or malformed."""
    path = paths.metrics(variant)
    try:
        return Metrics.model_validate_json((root / path).read_bytes())
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"{path}: expected numbers in JSON, {', '.join(Metrics.model_fields)} among them, "
            f"found {' '.join(str(error).split())}; run `dvc repro evaluate@{variant}`"
        ) from error
