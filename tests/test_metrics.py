"""The metrics and tables of made-up answers, against numbers worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from made_up import NAMES

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.evaluate import metrics, tables
from pipeline.evaluate.metrics import Answers
from pipeline.evaluate.settings import Evaluate

LABELS = np.array([3, 5, 0, 9])  # cat, dog, airplane, truck


def probabilities() -> np.ndarray:
    """For LABELS, float32 (4, 10): right, wrong at 0.625, wrong at 0.875, right."""
    found = np.zeros((4, 10), np.float32)
    found[0, [3, 5]] = 0.75, 0.25
    found[1, [3, 5]] = 0.625, 0.375
    found[2, [8, 1]] = 0.875, 0.125
    found[3, [9, 1]] = 0.625, 0.375
    return found


def said(bins: int = 1) -> Answers:
    one_view = np.eye(10)[[3, 5, 0, 0]]  # three of four right
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities().astype(float)) + 7.0  # a constant tells nothing
    return Answers(LABELS, np.maximum(logits, -50.0), one_view, bins, 0.7)


def test_every_metric_by_its_name() -> None:
    confidence = (0.75 + 0.625 + 0.875 + 0.625) / 4
    f1 = [2 / 3, 1.0]  # of cat (one of two right guesses) and truck; the other eight have 0
    assert metrics.measure(said(), 7).model_dump() == {
        "accuracy": 0.5,
        "loss": round(-(math.log(0.75) + math.log(0.375) - 57 + math.log(0.625)) / 4, 6),
        "top2_accuracy": 0.75,
        "balanced_accuracy": 0.5,  # cat and truck, of the four classes that have images
        "macro_f1": round(sum(f1) / 10, 6),
        "calibration_error": round(confidence - 0.5, 6),
        "one_view_accuracy": 0.75,
        "told_unlikely": 0.5,  # at 0.625
        "parameters": 7,
    }


def test_calibration_has_as_many_bins_as_asked_for() -> None:
    # Of three, (1/3, 2/3] holds 0.625 wrong and 0.625 right, (2/3, 1] 0.75 right and 0.875 wrong.
    expected = (abs(0.625 + 0.625 - 1) + abs(0.75 + 0.875 - 1)) / 4
    assert metrics.measure(said(3), 7).model_dump()["calibration_error"] == round(expected, 6)


def test_a_new_metric_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metrics.METRICS, "images", lambda found: float(len(found.labels)))
    assert metrics.measure(said(), 7).model_dump()["images"] == 4.0


def test_answers_have_the_true_class_in_the_rows_of_their_confusion() -> None:
    confusion = said().confusion
    assert confusion.shape == (10, 10)
    found = [tuple(map(int, place)) for place in np.argwhere(confusion)]
    assert found == [(0, 8), (3, 3), (5, 3), (9, 9)]
    assert confusion.sum() == 4
    assert said().right.tolist() == [True, False, False, True]


def test_scores_and_counts_of_each_class() -> None:
    table = tables.per_class(said().confusion, NAMES)
    assert list(table) == ["class", "precision", "recall", "f1", "support", *NAMES]
    assert list(table["class"]) == NAMES
    rows = table.set_index("class")
    assert rows.loc["cat"].tolist()[:4] == [0.5, 1, pytest.approx(2 / 3, abs=1e-12), 1]
    assert rows.loc["dog"].tolist()[:4] == [0, 0, 0, 1]
    assert rows.loc["bird", "support"] == 0
    assert rows.loc["dog", "cat"] == rows.loc["airplane", "ship"] == 1
    assert rows.loc["cat", "dog"] == rows.loc["ship", "airplane"] == 0


def test_balanced_accuracy_is_the_mean_of_the_classes_shares() -> None:
    confusion = np.array([[90, 10, 0], [5, 5, 0], [0, 0, 0]])  # 0.9, 0.5, and no image of the third
    assert metrics.balanced_accuracy(confusion) == pytest.approx(0.7, abs=1e-12)


def test_a_class_may_have_the_name_of_a_column() -> None:
    names = ["class", "support", "f1"]
    table = tables.per_class(np.diag([3, 4, 5]), names)
    assert list(table) == ["class", "precision", "recall", "f1", "support", *names]
    assert table.iloc[:, 0].tolist() == names
    assert table.iloc[:, 5:].to_numpy().tolist() == np.diag([3, 4, 5]).tolist()


def test_predictions_name_the_two_likeliest_classes() -> None:
    table = tables.predictions(LABELS, probabilities(), NAMES)
    assert list(table) == [
        *("index", "actual", "predicted", "confidence", "second", "second_confidence"),
    ]
    assert table.to_numpy().tolist() == [
        [0, "cat", "cat", 0.75, "dog", 0.25],
        [1, "dog", "cat", 0.625, "dog", 0.375],
        [2, "airplane", "ship", 0.875, "automobile", 0.125],
        [3, "truck", "truck", 0.625, "automobile", 0.375],
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("calibration_bins", 0),
        ("calibration_bins", 1.5),
        ("mistakes", 101),
        ("mistakes", "20"),
        ("unknown", 1),
    ],
)
def test_refuses_wrong_params(key: str, value: Any) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params_file.section(params, "evaluate", Evaluate)
    params["evaluate"][key] = value
    with pytest.raises(PipelineError, match=rf"evaluate\.{key}: "):
        params_file.section(params, "evaluate", Evaluate)


def test_examples_are_the_most_confident_of_each_pair() -> None:
    """Two classes of ten; all confidences differ."""
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    of_first = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.3, 0.4, 0.05])
    probabilities = np.zeros((8, 10), np.float32)
    probabilities[:, 0], probabilities[:, 1] = of_first, 1 - of_first
    found = tables.examples(labels, probabilities, NAMES, 1)
    assert found.drop(columns="confidence").to_numpy().tolist() == [
        [0, "airplane", "airplane"],
        [4, "airplane", "automobile"],
        [7, "automobile", "automobile"],
    ]
    assert found["confidence"].tolist() == pytest.approx([0.9, 0.9, 0.95])
    both = tables.examples(labels, probabilities, NAMES, 2)
    assert both["index"].tolist() == [0, 1, 4, 3, 7, 6]
