"""The scores against cases worked out by hand."""

import numpy as np
import pytest

from pipeline.evaluate import scores

LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],  # right
        [0.3, 0.6, 0.1],  # wrong, the true class second
        [0.1, 0.8, 0.1],  # right
        [0.5, 0.4, 0.1],  # wrong, the true class last
    ],
    np.float32,
)
CONFUSION = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_accuracy() -> None:
    assert scores.accuracy(LABELS, PROBABILITIES) == 0.5


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.75), (3, 1.0)])
def test_top_k_accuracy(k: int, expected: float) -> None:
    assert scores.top_k_accuracy(LABELS, PROBABILITIES, k) == expected


def test_ties_go_to_the_lower_class() -> None:
    even = np.full((2, 4), 0.25, np.float32)
    assert scores.ranking(even).tolist() == [[0, 1, 2, 3]] * 2
    # Many classes, as NumPy's default sort keeps the order of a few ties by chance.
    alternating = np.tile([0.02, 0.03], 20)[None]
    assert scores.ranking(alternating).tolist() == [[*range(1, 40, 2), *range(0, 40, 2)]]
    assert scores.accuracy(np.array([0, 3]), even) == 0.5
    assert scores.top_k_accuracy(np.array([1, 2]), even, 2) == 0.5


def test_confusion_matrix_has_the_true_class_in_rows() -> None:
    predicted = PROBABILITIES.argmax(axis=1)
    found = scores.confusion_matrix(LABELS, predicted, 3)
    assert found.tolist() == CONFUSION.tolist()
    assert found.dtype == np.int64
    repeated = scores.confusion_matrix(np.array([2, 2, 2]), np.array([1, 1, 0]), 4)
    assert repeated.sum() == 3
    assert repeated[2].tolist() == [1, 2, 0, 0]


def test_class_scores() -> None:
    found = scores.class_scores(CONFUSION)
    assert found.precision.tolist() == [1 / 2, 1 / 2, 0]
    assert found.recall.tolist() == [1 / 2, 1, 0]
    assert found.f1.tolist() == pytest.approx([1 / 2, 2 / 3, 0])
    assert found.support.tolist() == [2, 1, 1]
    assert scores.macro_f1(CONFUSION) == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_a_quotient_of_zeros_counts_as_zero() -> None:
    # Class 1 is never predicted, class 2 has no sample, class 3 has neither.
    confusion = np.array([[5, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    found = scores.class_scores(confusion)
    assert found.precision.tolist() == [5 / 7, 0, 0, 0]
    assert found.recall.tolist() == [5 / 6, 0, 0, 0]
    assert found.f1.tolist() == [10 / 13, 0, 0, 0]
    assert scores.macro_f1(confusion) == pytest.approx(10 / 13 / 4)


def test_softmax() -> None:
    with np.errstate(divide="ignore"):
        logits = np.log(PROBABILITIES.astype(float))
    found = scores.softmax(logits + np.array([[3.0], [-700.0], [0.0], [900.0]]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, PROBABILITIES, rtol=1e-6)


def test_cross_entropy() -> None:
    logits = np.log(np.maximum(PROBABILITIES.astype(float), 1e-300)) + 5.0
    expected = -np.log([0.7, 0.3, 0.8, 0.1]).mean()
    assert scores.cross_entropy(LABELS, logits) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_a_class_ruled_out_is_not_cut_off() -> None:
    found = scores.cross_entropy(np.array([1, 0]), np.array([[500.0, 0], [500.0, 0]]))
    assert found == 250


def test_calibration_error() -> None:
    # Two bins. (0, 0.5] holds the last sample: |0.5 - 0|. (0.5, 1] holds three, two of them right:
    # |(0.7 + 0.6 + 0.8) / 3 - 2 / 3| = 1 / 30. Weighted 1/4 and 3/4: 0.125 + 0.025.
    assert scores.calibration_error(LABELS, PROBABILITIES, 2) == pytest.approx(0.15)


def test_calibration_error_with_one_bin_is_the_gap_of_the_means() -> None:
    assert scores.calibration_error(LABELS, PROBABILITIES, 1) == pytest.approx(0.65 - 0.5)


def test_calibration_bins_are_of_equal_width_and_closed_above() -> None:
    # Four bins: 0.5 belongs to (0.25, 0.5], 0.625 and 0.75 to (0.5, 0.75].
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [0.625, 0.375]])
    expected = (abs(0.5 - 1) + abs(0.75 + 0.625 - 1)) / 3
    assert scores.calibration_error(labels, probabilities, 4) == pytest.approx(expected)


def test_perfect_certainty_is_calibrated() -> None:
    assert scores.calibration_error(np.arange(3), np.eye(3), 15) == 0
    assert scores.calibration_error(np.array([1, 2, 0]), np.eye(3), 15) == 1
