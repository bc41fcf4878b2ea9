"""How good predictions are, in plain NumPy.

Throughout, `labels` are true class indices, integers (N,), and `probabilities` are the predicted
ones, float (N, K) with rows that sum to 1; N is at least 1. A tie between classes goes to the
lower index, so that equal predictions always give equal scores.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassScores:
    """Per class, arrays (K,): precision, recall and F1 float64 in [0, 1], support int64."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def ranking(probabilities: np.ndarray) -> np.ndarray:
    """Class indices int64 (N, K), the most probable first."""
    return np.argsort(-probabilities, axis=1, kind="stable")


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The share of samples whose most probable class is the true one."""
    return top_k_accuracy(labels, probabilities, 1)


def top_k_accuracy(labels: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    """The share of samples whose true class is among the `k` most probable."""
    hits = ranking(probabilities)[:, :k] == labels[:, None]
    return float(hits.any(axis=1).mean())


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 (K, K): row i, column j holds the samples of class i predicted as class j."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def class_scores(confusion: np.ndarray) -> ClassScores:
    """Precision, recall and F1 of every class from counts (K, K), rows the true classes.

    Where a quotient is 0 / 0 it counts as 0: the precision of a class never predicted, the recall
    of a class without samples, the F1 of a class with neither. The mean over the classes then
    punishes a class that a model ignores.
    """
    hits = np.diag(confusion).astype(np.float64)
    predicted, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return ClassScores(
        precision=_quotient(hits, predicted),
        recall=_quotient(hits, support),
        f1=_quotient(2 * hits, predicted + support),
        support=support,
    )


def macro_f1(confusion: np.ndarray) -> float:
    """The unweighted mean of the classes' F1."""
    return float(class_scores(confusion).f1.mean())


@dataclass(frozen=True)
class Reliability:
    """Per bin of confidence, arrays (bins,): how many samples int64, the sum of their confidences
    float64, and how many of them are right, float64."""

    samples: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> Reliability:
    """Samples by the probability of their predicted class, in `bins` of equal width.

    Bin m is ((m - 1) / bins, m / bins].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hit = ranking(probabilities)[:, 0] == labels
    inner_edges = np.arange(1, bins) / bins
    place = np.digitize(confidence, inner_edges, right=True)
    return Reliability(
        samples=np.bincount(place, minlength=bins),
        confidence=np.bincount(place, weights=confidence, minlength=bins),
        right=np.bincount(place, weights=hit, minlength=bins),
    )


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Expected calibration error in [0, 1]: how far confidence is from accuracy, on average.

    The differences between mean confidence and accuracy of the bins of `reliability` are averaged
    with the bins' share of samples as weights. Source: Guo et al., On Calibration of Modern Neural
    Networks, 2017, equation 3.
    """
    found = reliability(labels, probabilities, bins)
    # A bin's |mean confidence - accuracy| times its share is |difference of sums| / N.
    return float(np.abs(found.confidence - found.right).sum() / len(labels))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float32 (N, K) from `logits` float64 (N, K).

    In float64, whose last bits, where processors differ in exp, float32 does not show.
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def cross_entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    """The mean of -ln p of the true class, in nats, for p the softmax of `logits` float64 (N, K).

    From the logits, where a confident mistake costs what it costs; from probabilities that were
    rounded to 0 it would be cut off.
    """
    above = logits - logits.max(axis=1, keepdims=True)
    true = above[np.arange(len(labels)), labels]
    return float((np.log(np.exp(above).sum(axis=1)) - true).mean())


def _quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    result = np.zeros(len(part))
    np.divide(part, whole, out=result, where=whole > 0)
    return result
