"""Metrics against values worked out by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import Predictions, compute_metrics

LABELS = np.array([3, 5, 0, 9])  # cat, dog, airplane, truck
PROBABILITIES = np.zeros((4, 10), np.float32)
PROBABILITIES[0, [3, 5]] = 0.75, 0.25  # correct
PROBABILITIES[1, [3, 5]] = 0.625, 0.375
PROBABILITIES[2, [8, 1]] = 0.875, 0.125
PROBABILITIES[3, [9, 1]] = 0.625, 0.375  # correct


def predictions() -> Predictions:
    no_tta = np.eye(10)[[3, 5, 0, 0]]  # three of four correct
    with np.errstate(divide="ignore"):
        logits = np.log(PROBABILITIES.astype(float)) + 7.0  # softmax is invariant to a constant
    return Predictions(LABELS, np.maximum(logits, -50.0), no_tta, 0.7, 0.5)


def test_every_metric() -> None:
    assert compute_metrics(predictions(), 7).model_dump() == {
        "accuracy": 0.5,
        "loss": round(-(math.log(0.75) + math.log(0.375) - 57 + math.log(0.625)) / 4, 6),
        "macro_f1": round((2 / 3 + 1) / 10, 6),
        # The bin (9/15, 10/15] has 0.625 twice, one of them correct; 0.75 and 0.875 are alone.
        "calibration_error": (0.25 + 0.25 + 0.875) / 4,
        "accuracy_no_tta": 0.75,
        "rejection_rate": 0.5,  # at 0.625
        "rejection_threshold": 0.7,
        "temperature": 0.5,
        "parameters": 7,
    }


def test_confusion_has_true_classes_in_rows() -> None:
    assert np.argwhere(predictions().confusion).tolist() == [[0, 8], [3, 3], [5, 3], [9, 9]]
    repeated = metrics.confusion_matrix(np.array([2, 2, 2]), np.array([1, 1, 0]), 4)
    assert repeated.tolist() == [[0] * 4, [0] * 4, [1, 2, 0, 0], [0] * 4]


def test_ties_go_to_the_lower_class_and_0_by_0_is_0() -> None:
    assert metrics.accuracy(np.array([0, 1, 0]), np.full((3, 4), 0.25, np.float32)) == 2 / 3
    # Class 1 is never predicted, class 2 has no images, class 3 has neither.
    confusion = np.array([[5, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    scores = metrics.class_scores(confusion)
    assert {name: values.tolist() for name, values in scores.items()} == {
        "precision": [5 / 7, 0, 0, 0],
        "recall": [5 / 6, 0, 0, 0],
        "f1": [10 / 13, 0, 0, 0],
        "support": [6, 2, 0, 0],
    }


def test_softmax_and_cross_entropy() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    logits = np.log(probabilities) + np.array([[-700.0], [900.0]])
    assert metrics.softmax(logits).dtype == np.float32
    np.testing.assert_allclose(metrics.softmax(logits), probabilities, rtol=1e-6)
    expected = -np.log([0.2, 0.3]).mean()
    assert metrics.cross_entropy(np.array([1, 0]), logits) == pytest.approx(expected, rel=1e-6)
    # Probabilities rounded to 0 would cut it off.
    assert metrics.cross_entropy(np.array([1, 0]), np.array([[500.0, 0], [500.0, 0]])) == 250


@pytest.mark.parametrize(
    ("labels", "probabilities", "bins", "expected"),
    [
        # Bins are closed above: 0.5 belongs to (0.25, 0.5], 0.625 and 0.75 to (0.5, 0.75].
        ([0, 0, 1], [[0.5, 0.5], [0.75, 0.25], [0.625, 0.375]], 4, (0.5 + 0.375) / 3),
        ([0, 1, 2], np.eye(3), 15, 0),
        ([1, 2, 0], np.eye(3), 15, 1),
    ],
)
def test_calibration_error(labels: Any, probabilities: Any, bins: int, expected: float) -> None:
    error = metrics.calibration_error(np.array(labels), np.array(probabilities), bins)
    assert error == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"accuracy": 0, "loss": 0, "parameters": 0, "new": 3}, None),
        ({"accuracy": 1}, None),
        *(({"accuracy": value}, "accuracy") for value in (1.01, float("nan"), "0.5")),
        ({"loss": -0.1}, "loss"),
        ({"parameters": 0.5}, "parameters"),
        *(({"new": value}, "new") for value in (float("nan"), "1")),
    ],
)
def test_impossible_metrics_are_refused(
    tmp_path: Path, changes: dict[str, Any], key: str | None
) -> None:
    content = {"accuracy": 0.5, "loss": 1.25, "parameters": 7} | changes
    path = tmp_path / paths.metrics("deep")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    if key:
        with pytest.raises(PipelineError, match=rf"metrics\.json: .*{key}.*evaluate@deep"):
            metrics.read_metrics("deep", tmp_path)
    else:
        assert metrics.read_metrics("deep", tmp_path).model_dump() == content
