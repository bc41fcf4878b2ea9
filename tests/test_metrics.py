"""Scores, metrics and tables against values worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from made_up import NAMES

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.evaluate import metrics, scores, tables
from pipeline.evaluate.metrics import Answers
from pipeline.evaluate.settings import Evaluate
from pipeline.evaluate.views import Views

LABELS = np.array([3, 5, 0, 9])  # cat, dog, airplane, truck
PROBABILITIES = np.zeros((4, 10), np.float32)
PROBABILITIES[0, [3, 5]] = 0.75, 0.25  # correct
PROBABILITIES[1, [3, 5]] = 0.625, 0.375
PROBABILITIES[2, [8, 1]] = 0.875, 0.125
PROBABILITIES[3, [9, 1]] = 0.625, 0.375  # correct


def answers(bins: int) -> Answers:
    one_view = np.eye(10)[[3, 5, 0, 0]]  # three of four correct
    with np.errstate(divide="ignore"):
        logits = np.log(PROBABILITIES.astype(float)) + 7.0  # softmax is invariant to a constant
    return Answers(LABELS, np.maximum(logits, -50.0), one_view, bins, 0.7)


def test_every_metric() -> None:
    confidence = (0.75 + 0.625 + 0.875 + 0.625) / 4
    assert metrics.measure(answers(1), 7).model_dump() == {
        "accuracy": 0.5,
        "loss": round(-(math.log(0.75) + math.log(0.375) - 57 + math.log(0.625)) / 4, 6),
        "top2_accuracy": 0.75,
        "balanced_accuracy": 0.5,  # cat and truck, of the four classes that have images
        "macro_f1": round((2 / 3 + 1) / 10, 6),
        "calibration_error": round(confidence - 0.5, 6),
        "one_view_accuracy": 0.75,
        "told_unlikely": 0.5,  # at 0.625
        "parameters": 7,
    }
    # Of three bins, (1/3, 2/3] holds 0.625 twice, one of them correct; (2/3, 1] 0.75 and 0.875.
    expected = (abs(0.625 + 0.625 - 1) + abs(0.75 + 0.875 - 1)) / 4
    assert metrics.measure(answers(3), 7).model_dump()["calibration_error"] == round(expected, 6)


def test_confusion_has_true_classes_in_rows() -> None:
    confusion = answers(1).confusion
    assert confusion.shape == (10, 10)
    assert np.argwhere(confusion).tolist() == [[0, 8], [3, 3], [5, 3], [9, 9]]
    assert answers(1).right.tolist() == [True, False, False, True]
    repeated = scores.confusion_matrix(np.array([2, 2, 2]), np.array([1, 1, 0]), 4)
    assert (repeated.sum(), repeated[2].tolist()) == (3, [1, 2, 0, 0])


def test_ties_go_to_the_lower_class() -> None:
    even = np.full((2, 4), 0.25, np.float32)
    # Many classes, as NumPy's default sort keeps the order of a few ties by chance.
    alternating = np.tile([0.02, 0.03], 20)[None]
    assert scores.ranking(alternating).tolist() == [[*range(1, 40, 2), *range(0, 40, 2)]]
    assert scores.accuracy(np.array([0, 3]), even) == 0.5
    assert [scores.top_k_accuracy(np.array([1, 2]), even, k) for k in (1, 2, 3)] == [0, 0.5, 1]


def test_class_scores() -> None:
    # Class 1 is never predicted, class 2 has no sample, class 3 has neither: 0 / 0 counts as 0.
    confusion = np.array([[5, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    result = scores.class_scores(confusion)
    assert result.precision.tolist() == [5 / 7, 0, 0, 0]
    assert result.recall.tolist() == [5 / 6, 0, 0, 0]
    assert result.f1.tolist() == [10 / 13, 0, 0, 0]
    assert result.support.tolist() == [6, 2, 0, 0]
    assert scores.macro_f1(confusion) == pytest.approx(10 / 13 / 4)
    confusion = np.array([[90, 10, 0], [5, 5, 0], [0, 0, 0]])  # recall 0.9 and 0.5
    assert metrics.balanced_accuracy(confusion) == pytest.approx(0.7, abs=1e-12)


def test_softmax_and_cross_entropy() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    logits = np.log(probabilities) + np.array([[-700.0], [900.0]])
    assert scores.softmax(logits).dtype == np.float32
    np.testing.assert_allclose(scores.softmax(logits), probabilities, rtol=1e-6)
    expected = -np.log([0.2, 0.3]).mean()
    assert scores.cross_entropy(np.array([1, 0]), logits) == pytest.approx(expected, rel=1e-6)
    # Probabilities rounded to 0 would cut it off.
    assert scores.cross_entropy(np.array([1, 0]), np.array([[500.0, 0], [500.0, 0]])) == 250


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
    error = scores.calibration_error(np.array(labels), np.array(probabilities), bins)
    assert error == pytest.approx(expected)


def test_table_of_classes() -> None:
    table = tables.per_class(answers(1).confusion, NAMES)
    assert list(table) == ["class", "precision", "recall", "f1", "support", *NAMES]
    assert list(table["class"]) == NAMES
    rows = table.set_index("class")
    assert rows.loc["cat"].tolist()[:4] == [0.5, 1, pytest.approx(2 / 3, abs=1e-12), 1]
    assert rows.loc["dog", "cat"] == rows.loc["airplane", "ship"] == 1
    assert rows.loc["cat", "dog"] == rows.loc["ship", "airplane"] == 0
    names = ["class", "support", "f1"]  # also columns
    table = tables.per_class(np.diag([3, 4, 5]), names)
    assert list(table) == ["class", "precision", "recall", "f1", "support", *names]
    assert table.iloc[:, 5:].to_numpy().tolist() == np.diag([3, 4, 5]).tolist()


def test_predictions_name_the_two_most_probable_classes() -> None:
    table = tables.predictions(LABELS, PROBABILITIES, NAMES)
    assert list(table) == [
        *("index", "actual", "predicted", "confidence", "second", "second_confidence"),
    ]
    assert table.to_numpy().tolist() == [
        [0, "cat", "cat", 0.75, "dog", 0.25],
        [1, "dog", "cat", 0.625, "dog", 0.375],
        [2, "airplane", "ship", 0.875, "automobile", 0.125],
        [3, "truck", "truck", 0.625, "automobile", 0.375],
    ]


def test_examples_are_the_most_confident_of_each_pair() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    of_first = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.3, 0.4, 0.05])
    probabilities = np.stack([of_first, 1 - of_first], axis=1)
    examples = tables.examples(labels, probabilities, NAMES[:2], 1)
    assert examples.to_numpy().tolist() == [
        [0, "airplane", "airplane", 0.9],
        [4, "airplane", "automobile", 0.9],
        [7, "automobile", "automobile", 0.95],
    ]
    assert tables.examples(labels, probabilities, NAMES[:2], 2)["index"].tolist() == [
        *(0, 1, 4, 3, 7, 6),
    ]


def test_reliability_of_each_bin() -> None:
    table = tables.reliability(LABELS, PROBABILITIES, 4)
    assert table.to_dict("list") == {
        "up_to": [0.75, 1],
        "images": [3, 1],
        "confidence": [pytest.approx((0.75 + 0.625 + 0.625) / 3), 0.875],
        "accuracy": [pytest.approx(2 / 3), 0],
    }


@pytest.mark.parametrize(
    ("section", "schema", "key", "value"),
    [
        *(("evaluate", Evaluate, "calibration_bins", value) for value in (0, 1001)),
        *(("evaluate", Evaluate, "mistakes", value) for value in (0, 101)),
        *(("evaluate", Evaluate, "examples", value) for value in (0, 101)),
        *(("views.whitened", Views, "shift", value) for value in (-1, 257)),
        *(("views.whitened", Views, "sure", value) for value in (0, 1.1)),
    ],
)
def test_settings_have_limits(section: str, schema: Any, key: str, value: Any) -> None:
    params = params_file.read(PROJECT / "params.yaml")
    params_file.section(params, section, schema)
    params_file.at(params, section)[key] = value
    with pytest.raises(PipelineError, match=rf"{section}\.{key}: "):
        params_file.section(params, section, schema)
