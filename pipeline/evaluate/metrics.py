"""The metrics: what each name in metrics.json is, computed from a model's answers.

A new one is a line of METRICS; to show it in the comparison, give it a column there
(pipeline/compare/table.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.evaluate import scores
from pipeline.report.metrics import Metrics

DECIMALS = 6  # 10,000 images resolve 0.0001; float32 probabilities hold about seven digits


@dataclass(frozen=True)
class Answers:
    """What a model says of the test images; arrays as in scores.py.

    `logits` are averaged over the views, `one_view` those of the image alone; `calibration_bins` is
    the number of bins for confidence, and below the probability `unlikely` no class is likely.
    """

    labels: np.ndarray
    logits: np.ndarray
    one_view: np.ndarray
    calibration_bins: int
    unlikely: float

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The softmax of the logits, float32 (N, K)."""
        return scores.softmax(self.logits)

    @property
    def confusion(self) -> np.ndarray:
        """Counts int64 (K, K), rows the true classes, columns the most probable ones."""
        classes = self.probabilities.shape[1]
        return scores.confusion_matrix(self.labels, self.probabilities.argmax(axis=1), classes)

    @property
    def right(self) -> np.ndarray:
        """Whether the most probable class is the true one, bool (N,)."""
        return self.probabilities.argmax(axis=1) == self.labels


def balanced_accuracy(confusion: np.ndarray) -> float:
    """The mean recall of the classes that have test images, from counts (K, K)."""
    found = scores.class_scores(confusion)
    return float(found.recall[found.support > 0].mean())


METRICS: dict[str, Callable[[Answers], float]] = {
    "accuracy": lambda said: scores.accuracy(said.labels, said.probabilities),
    "loss": lambda said: scores.cross_entropy(said.labels, said.logits),
    "top2_accuracy": lambda said: scores.top_k_accuracy(said.labels, said.probabilities, 2),
    "balanced_accuracy": lambda said: balanced_accuracy(said.confusion),
    "macro_f1": lambda said: scores.macro_f1(said.confusion),
    "calibration_error": lambda said: scores.calibration_error(
        said.labels, said.probabilities, said.calibration_bins
    ),
    "one_view_accuracy": lambda said: scores.accuracy(said.labels, said.one_view),
    # Of images that do show one of the classes, how many predict says none is likely of.
    "told_unlikely": lambda said: float((said.probabilities.max(axis=1) < said.unlikely).mean()),
}


def measure(said: Answers, parameters: int) -> Metrics:
    """All metrics of a model of `parameters` weights, rounded to DECIMALS."""
    figures = {name: round(metric(said), DECIMALS) for name, metric in METRICS.items()}
    return Metrics.model_validate({**figures, "parameters": parameters})
