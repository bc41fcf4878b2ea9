"""The tables that evaluate writes about a variant's predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.evaluate import scores


def per_class(confusion: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """A row per true class: class, precision, recall, f1, support (its number of test images),
    and the confusion matrix: for each predicted class, how many of the row's images went there.

    `confusion` holds counts (K, K) of the K `classes`, rows the true ones; zero division as in
    class_scores.
    """
    found = scores.class_scores(confusion)
    figures = pd.DataFrame(
        {
            "class": classes,
            "precision": found.precision,
            "recall": found.recall,
            "f1": found.f1,
            "support": found.support,
        }
    )
    # Beside each other and not joined: a class may be called "support".
    return pd.concat([figures, pd.DataFrame(confusion, columns=list(classes))], axis="columns")


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> pd.DataFrame:
    """A row for each bin of confidence that has test images: its upper edge as `up_to`, its number
    of `images`, their mean `confidence`, and their `accuracy`. Arrays as in `predictions`."""
    found = scores.reliability(labels, probabilities, bins)
    any_here = np.flatnonzero(found.samples)
    images = found.samples[any_here]
    return pd.DataFrame(
        {
            "up_to": (any_here + 1) / bins,
            "images": images,
            "confidence": found.confidence[any_here] / images,
            "accuracy": found.right[any_here] / images,
        }
    )


def examples(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], each: int
) -> pd.DataFrame:
    """Test images worth a look: index, actual and predicted class, confidence, by both classes.

    Of each true and each predicted class the `each` most confident ones. Arrays as in
    `predictions`.
    """
    table = predictions(labels, probabilities, classes).drop(
        columns=["second", "second_confidence"]
    )
    table = table.sort_values("confidence", ascending=False, kind="stable")
    kind = ["actual", "predicted"]
    return table[table.groupby(kind).cumcount() < each].sort_values(kind, kind="stable")


def predictions(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """A row per test image: its true class and the two most probable ones, with probabilities."""
    names = np.array(classes)
    first, second = scores.ranking(probabilities)[:, :2].T
    rows = np.arange(len(labels))
    return pd.DataFrame(
        {
            "index": rows,
            "actual": names[labels],
            "predicted": names[first],
            "confidence": probabilities[rows, first],
            "second": names[second],
            "second_confidence": probabilities[rows, second],
        }
    )
