"""The figures of the comparison: the data drawn in their panels."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import panels
import pytest
from made_up import NAMES

from pipeline.comparison import plots
from pipeline.comparison.results import Result
from pipeline.report.figures import Axes, Figure

NAN = float("nan")
# The first and the last were published; no two numbers are equal.
COMPARISON = pd.DataFrame(
    {
        "accuracy": [0.75, 0.625, 0.5],
        "accuracy_low": [0.6875, 0.5, 0.4375],
        "accuracy_high": [0.78125, 0.65625, 0.53125],
        "loss": [0.5, 1.0, 2.0],
        "published_accuracy": [0.8125, NAN, 0.25],
        "published_loss": [0.375, NAN, 1.5],
    },
    index=pd.Index(["deep", "new", "baseline"], name="variant"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def five() -> list[Result]:
    """Two rows of panels, the second with a blank one; `best` has no validation."""
    return [
        made_up.result(
            name,
            counts=made_up.confusion(share, share),
            learned=made_up.history(8 + number, share, validated=name != "best"),
        )
        for number, (name, share) in enumerate(
            {"best": 80, "final": 75, "deep": 45, "adam": 35, "sgd": 30}.items()
        )
    ]


def test_accuracy_bars_intervals_and_published_marks(drawn: dict[str, Figure]) -> None:
    plots.draw_accuracy(Path("accuracy.png"), COMPARISON, 0.9)
    left, right = drawn["accuracy.png"].axes
    assert panels.ticks(left, "y") == {"deep": 0, "new": 1, "baseline": 2}
    assert left.yaxis_inverted()
    for axis, bars, published in (
        (left, [0.75, 0.625, 0.5], [0.8125, 0.25]),
        (right, [0.5, 1.0, 2.0], [0.375, 1.5]),
    ):
        assert [bar.get_width() for bar in axis.patches] == bars  # type: ignore[attr-defined]
        assert panels.words(axis.texts) == [f" {value:.4f}" for value in bars]
        marks = np.asarray(axis.collections[-1].get_offsets())
        assert marks[[0, 2]].tolist() == [[published[0], -0.3], [published[1], 1.7]]
    intervals, _ = left.collections
    assert len(right.collections) == 1
    bounds = np.array(intervals.get_segments())[:, :, 0]  # type: ignore[attr-defined]
    assert bounds.tolist() == [[0.6875, 0.78125], [0.5, 0.65625], [0.4375, 0.53125]]
    plots.draw_accuracy(Path("accuracy.png"), COMPARISON.drop(columns="published_accuracy"), 0.9)
    assert len(drawn["accuracy.png"].axes[0].collections) == 1


def test_confusion_in_per_cent_of_the_true_class(drawn: dict[str, Figure]) -> None:
    results = five()
    results[0].confusion[:2] *= 3  # classes of unequal size
    plots.draw_confusion(Path("confusion.png"), results)
    shown = panels.shown(drawn["confusion.png"])
    for axis, result in zip(shown, results, strict=True):
        percent = 100 * result.confusion / result.confusion.sum(axis=1, keepdims=True)
        (image,) = axis.images
        assert image.origin == "upper"
        assert np.asarray(image.get_array()).tolist() == percent.tolist()
        cells = {text.get_position(): text for text in axis.texts}
        assert len(cells) == 100
        for (column, row), text in cells.items():
            value = percent[int(row), int(column)]
            assert text.get_text() == f"{value:.0f}"
            assert text.get_color() == ("white" if value > 40 else "black")
    every = dict(zip(NAMES, range(10), strict=True))
    assert [panels.ticks(axis, "y") for axis in shown] == [every, {}, {}, every, {}]
    assert [panels.ticks(axis, "x") for axis in shown] == [{}, {}, every, every, every]


@pytest.mark.parametrize(("classes", "results"), [(2, 3), (20, 1), (20, 3)])
def test_long_class_names_do_not_overlap(
    drawn: dict[str, Figure], classes: int, results: int
) -> None:
    names = [f"{number:02d} ".ljust(30, "m") for number in range(classes)]
    plots.draw_confusion(Path("confusion.png"), [made_up.result(classes=names)] * results)
    figure = drawn["confusion.png"]
    figure.draw_without_rendering()
    texts = [
        text
        for axis in figure.axes
        for text in (*axis.get_xticklabels(), *axis.get_yticklabels(), axis.title)
    ]
    boxes = [text.get_window_extent() for text in texts]
    assert {len(text.get_text()) for text in texts[:classes]} == {24}
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    widths = [axis.get_window_extent().width / figure.dpi for axis in figure.axes]
    assert min(widths) / classes > 0.28  # inches, for three digits


def test_confusion_of_many_classes_has_neither_names_nor_numbers(drawn: dict[str, Figure]) -> None:
    counts = made_up.confusion(40, 3, 21)
    names = [f"class {number}" for number in range(21)]
    plots.draw_confusion(Path("confusion.png"), [made_up.result(classes=names, counts=counts)])
    (axis,) = drawn["confusion.png"].axes
    assert np.asarray(axis.images[0].get_array()).tolist() == counts.tolist()
    assert not axis.texts
    assert panels.ticks(axis, "x") == panels.ticks(axis, "y") == {}


def expect_curves(axis: Axes, curves: Mapping[str, pd.DataFrame]) -> None:
    """Expects one line per label, through the points of the two columns."""
    assert [line.get_label() for line in axis.lines] == list(curves)
    for line, table in zip(axis.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), table)


def test_learning_curves_of_all_variants(drawn: dict[str, Figure]) -> None:
    results = five()
    plots.draw_learning_curves(Path("curves.png"), results)
    axes = drawn["curves.png"].axes
    for axis, column in zip(axes, ("accuracy", "val_accuracy", "loss", "val_loss"), strict=True):
        expect_curves(axis, {each.variant: each.history[["epoch", column]] for each in results})
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim() == axes[3].get_ylim()
    assert panels.legend(drawn["curves.png"]) == [result.variant for result in results]


def test_learning_curves_of_many_variants_differ_in_style(drawn: dict[str, Figure]) -> None:
    results = [made_up.result(f"v{number}", learned=made_up.history(12, 1)) for number in range(16)]
    plots.draw_learning_curves(Path("curves.png"), results)
    curves = drawn["curves.png"].axes[0].lines
    styles = {(line.get_marker(), str(line.get_markerfacecolor())) for line in curves}
    assert len(styles) == len(results)
    assert [line.get_markevery() for line in curves] == [(0, 2), (1, 2)] * 8


def test_training_against_validation_has_two_panels_per_variant(drawn: dict[str, Figure]) -> None:
    results = five()
    plots.draw_training(Path("training.png"), results)
    grid = np.reshape(np.array(drawn["training.png"].axes, object), (4, 3))
    assert [axis.axison for axis in grid[2:, 2]] == [False, False]
    for row, metric in enumerate(("accuracy", "loss")):
        axes, columns = grid[row::2].ravel(), (metric, f"val_{metric}")
        for axis, result in zip(axes, results, strict=False):
            tables = [result.history[["epoch", column]] for column in columns]
            expect_curves(axis, dict(zip(("training", "validation"), tables, strict=True)))
            assert axis.get_ylim() == axes[0].get_ylim()
        values = np.concatenate([result.history[list(columns)] for result in results])
        assert axes[0].get_ylim()[0] < np.nanmin(values) < np.nanmax(values) < axes[0].get_ylim()[1]
    assert [axis.get_title() for axis in grid[::2].flat][:5] == [each.variant for each in results]


@pytest.mark.parametrize("epochs", [1, 30])
def test_epoch_ticks_are_whole_numbers(drawn: dict[str, Figure], epochs: int) -> None:
    plots.draw_training(Path("t.png"), [made_up.result(learned=made_up.history(epochs, 1))])
    for axis in drawn["t.png"].axes:
        low, high = axis.get_xlim()
        ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
        assert low == 0
        assert len(ticks) >= 2
        assert all(tick == int(tick) for tick in ticks)


def test_reliability_diagram_of_each_variant(drawn: dict[str, Figure]) -> None:
    results = [
        made_up.result("deep", accuracy=0.75, calibration_error=0.0625),
        made_up.result("new", accuracy=0.5, calibration_error=0.25),
    ]
    plots.draw_reliability(Path("reliability.png"), results)
    axes = panels.shown(drawn["reliability.png"])
    for axis, result, error in zip(axes, results, ("0.062", "0.250"), strict=True):
        assert error in axis.get_title()
        accuracy = result.metrics.accuracy
        diagonal, curve = panels.lines(axis).values()
        assert diagonal == [(0, 0), (1, 1)]
        assert curve == [(0.55, accuracy / 2), (0.95, accuracy)]
        (marks,) = axis.collections
        assert panels.points(*np.asarray(marks.get_offsets()).T) == curve
        assert np.divide(*marks.get_sizes()) == 200 / 800  # type: ignore[attr-defined]
