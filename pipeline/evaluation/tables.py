"""The tables that evaluate writes and compare reads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.evaluation.metrics import DECIMALS, class_scores

CLASS_COLUMNS = ("class", "precision", "recall", "f1", "support")
PREDICTION_COLUMNS = ("actual", "predicted", "confidence")


def class_table(confusion: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """A row per class with CLASS_COLUMNS, from counts (K, K), rows the true classes."""
    return pd.DataFrame({"class": class_names, **vars(class_scores(confusion))})


def prediction_table(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """A row per test image, in their order: the names of its true and of its most probable class,
    and the probability of the latter.

    `labels` are true class indices (N,), `probabilities` float (N, K).
    """
    names = np.array(class_names)
    return pd.DataFrame(
        {
            "actual": names[labels],
            "predicted": names[probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
        }
    )


def to_csv(table: pd.DataFrame) -> str:
    """`table` as CSV with DECIMALS decimals and Unix line ends."""
    return table.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")
