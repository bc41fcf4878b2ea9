"""The figures of the comparison: what stands in their panels."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import panels
import pytest
from made_up import NAMES

from pipeline.comparison import charts, confusion, curves, reliability
from pipeline.comparison.results import PAIRS, Result
from pipeline.report.figures import CARETDOWN, Axes, Figure

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


def bars(axis: Axes) -> dict[float, float]:
    """The lengths of the horizontal bars, by the place of their middle."""
    return {
        round(bar.get_y() + bar.get_height() / 2, 9): bar.get_width()
        for container in axis.containers
        for bar in getattr(container, "patches", [])
    }


@pytest.fixture
def accuracy(drawn: dict[str, Figure]) -> Figure:
    """The figure of COMPARISON."""
    charts.accuracy(Path("accuracy.png"), COMPARISON, 0.9)
    return drawn["accuracy.png"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_bars_of_each_variant_the_first_on_top(accuracy: Figure) -> None:
    left, right = accuracy.axes
    assert panels.ticks(left, "y") == {"deep": 0, "new": 1, "baseline": 2}
    bottom, top = left.get_ylim()
    assert bottom > 2.3 > -0.3 > top
    assert right.get_shared_y_axes().joined(left, right)
    assert bars(left) == {0: 0.75, 1: 0.625, 2: 0.5}
    assert bars(right) == {0: 0.5, 1: 1.0, 2: 2.0}
    for axis, expected in (
        (left, ["0.7500", "0.6250", "0.5000"]),
        (right, ["0.5000", "1.0000", "2.0000"]),
    ):
        assert [text.get_text().strip() for text in axis.texts] == expected
        assert [text.get_position() for text in axis.texts] == [(0, 0), (0, 1), (0, 2)]


def test_titles_and_units_of_accuracy_and_loss(accuracy: Figure) -> None:
    left, right = accuracy.axes
    assert left.get_title() == "Test accuracy"
    assert left.get_xlabel() == "share of test images classified right"
    assert right.get_title() == "Test loss"
    assert right.get_xlabel() == "categorical cross-entropy (nats)"


def test_published_marks_stand_above_the_bars_of_their_variants(accuracy: Figure) -> None:
    for axis, expected in zip(accuracy.axes, ([0.8125, 0.25], [0.375, 1.5]), strict=True):
        (mark,) = [line for line in axis.lines if line.get_marker() == CARETDOWN]
        assert mark.get_label() == "published by the study"
        values, places = np.asarray(mark.get_xdata()), np.asarray(mark.get_ydata())
        known = ~np.isnan(values)
        assert panels.points(places[known], values[known]) == [
            (-0.3, expected[0]),
            (1.7, expected[1]),
        ]


def test_intervals_reach_from_low_to_high(accuracy: Figure) -> None:
    left, right = accuracy.axes
    (interval,) = left.collections
    found = [panels.points(*np.transpose(ends)) for ends in interval.get_segments()]  # type: ignore[attr-defined]
    assert found == [
        [(0.6875, 0), (0.78125, 0)],
        [(0.5, 1), (0.65625, 1)],
        [(0.4375, 2), (0.53125, 2)],
    ]
    assert not right.collections


def test_legend_says_what_is_what(accuracy: Figure) -> None:
    assert panels.legend(accuracy) == [
        "this pipeline",
        "90 % interval (binomial, Wilson)",
        "published by the study",
    ]
    bar, _, mark = accuracy.legends[0].legend_handles
    assert bar is not None
    assert bar.get_facecolor() == accuracy.axes[0].patches[0].get_facecolor()  # type: ignore[attr-defined]
    assert mark is not None
    assert mark.get_marker() == CARETDOWN  # type: ignore[attr-defined]


def test_where_nothing_was_published_there_is_no_mark_of_it(drawn: dict[str, Figure]) -> None:
    ours = COMPARISON.drop(columns=["published_accuracy", "published_loss"])
    charts.accuracy(Path("accuracy.png"), ours, 0.9)
    figure = drawn["accuracy.png"]
    assert panels.legend(figure) == ["this pipeline", "90 % interval (binomial, Wilson)"]
    left, right = figure.axes
    assert bars(left) == {0: 0.75, 1: 0.625, 2: 0.5}
    assert CARETDOWN not in [line.get_marker() for line in (*left.lines, *right.lines)]


def five() -> list[Result]:
    """So many that the second row has two panels and a blank one."""
    return [
        made_up.result(
            name,
            accuracy=right / 100,
            counts=made_up.confusion(right, right),
            learned=made_up.history(8 + number, right, validated=name != "best"),
        )
        for number, (name, right) in enumerate(
            {"best": 80, "final": 75, "deep": 70, "adam": 35, "sgd": 30}.items()
        )
    ]


def test_confusion_shows_the_share_of_each_true_class_in_its_row(drawn: dict[str, Figure]) -> None:
    results = five()
    confusion.draw(Path("confusion.png"), results)
    figure = drawn["confusion.png"]
    assert figure.get_suptitle() == "Confusion on the test set, % of the true class"
    assert len(figure.axes) == 6
    assert panels.shown(figure) == figure.axes[:5]
    for axis, result in zip(panels.shown(figure), results, strict=True):
        assert axis.get_title() == f"{result.variant}: {result.metrics.accuracy:.4f} right"
        (image,) = axis.images
        assert image.origin == "upper"
        # Of 100 images a class, so that the counts are per cent.
        assert np.asarray(image.get_array()).tolist() == result.confusion.tolist()
        # The square root of the share decides the shade.
        assert np.asarray(image.norm(np.array([0, 1, 4, 25, 100]))).tolist() == [
            0,
            0.1,
            0.2,
            0.5,
            1,
        ]
        assert image.get_cmap().name == "Blues"
        written = {text.get_position(): text for text in axis.texts}
        assert len(written) == 100
        for (column, row), text in written.items():
            count = result.confusion[int(row), int(column)]
            assert text.get_text() == str(count)
            assert text.get_color() == ("white" if count > 40 else "black")


def test_confusion_is_in_per_cent_also_of_classes_of_other_sizes(drawn: dict[str, Figure]) -> None:
    counts = np.zeros((10, 10), np.int64)
    counts[0, :3], counts[1, 1] = (2, 1, 1), 5
    confusion.draw(Path("confusion.png"), [made_up.result(counts=counts)])
    (image,) = drawn["confusion.png"].axes[0].images
    expected = np.zeros((10, 10))
    expected[0, :3], expected[1, 1] = (50, 25, 25), 100
    assert np.asarray(image.get_array()).tolist() == expected.tolist()


def test_confusion_names_the_classes_left_and_below(drawn: dict[str, Figure]) -> None:
    confusion.draw(Path("confusion.png"), five())
    axes = drawn["confusion.png"].axes
    every = {name: place for place, name in enumerate(NAMES)}
    rows = [panels.ticks(axis, "y") for axis in axes[:5]]
    assert rows == [every, {}, {}, every, {}]
    assert [axis.get_ylabel() for axis in axes[:5]] == ["true class", "", "", "true class", ""]
    columns = [panels.ticks(axis, "x") for axis in axes[:5]]
    assert columns == [{}, {}, every, every, every]
    assert [axis.get_xlabel() for axis in axes[:5]] == ["", "", *["predicted class"] * 3]


def named(count: int, letters: int) -> list[str]:
    """Names of classes, of so many letters, none of them narrow."""
    return [f"{number:02d} ".ljust(letters, "m") for number in range(count)]


def overlapping(texts: list[Any]) -> list[tuple[str, str]]:
    """Those of the texts that lie upon each other as they are drawn."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize(("classes", "results"), [(2, 3), (20, 1), (20, 3), (81, 3)])
def test_names_of_twenty_letters_lie_beside_each_other(
    drawn: dict[str, Figure], classes: int, results: int
) -> None:
    names = named(classes, 20)
    counts = made_up.confusion(60, 1, classes)
    confusion.draw(
        Path("confusion.png"),
        [made_up.result(f"v{n}", classes=names, counts=counts) for n in range(results)],
    )
    figure = drawn["confusion.png"]
    figure.draw_without_rendering()
    texts = [
        text
        for axis in panels.shown(figure)
        for text in (
            *(label for label in axis.get_xticklabels() if label.get_text() in names),
            *axis.get_yticklabels(),
            *(axis.title, axis.xaxis.label, axis.yaxis.label),
        )
        if text.get_text()
    ]
    assert len(texts) > classes / 4
    assert overlapping(texts) == []
    if classes <= 20:  # however long the names, three digits have room in a cell
        sides = [axis.get_window_extent().width / figure.dpi for axis in figure.axes]
        assert min(sides) / classes > 0.28
    whole = figure.bbox
    for text in texts:
        box = text.get_window_extent()
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= whole.x1, text
        assert box.y1 <= whole.y1, text


def test_classes_are_called_as_they_are_but_for_what_is_too_long(drawn: dict[str, Figure]) -> None:
    names = ["$a$ und $b$", "<b>", "x" * 24, "begin " + "y" * 30 + " the end"]
    confusion.draw(Path("confusion.png"), [made_up.result(classes=names)])
    (axis,) = drawn["confusion.png"].axes
    short = [*names[:3], "begin yyyyyyyyy… the end"]
    assert list(panels.ticks(axis, "y")) == list(panels.ticks(axis, "x")) == short
    assert not any(label.get_parse_math() for label in axis.get_yticklabels())


def test_of_more_than_twenty_classes_the_most_confused_pairs_are_shown(
    drawn: dict[str, Figure],
) -> None:
    names = named(21, 4)
    counts = np.eye(21, dtype=np.int64) * 30
    counts[3, 5], counts[20, 0], counts[7, 2] = 10, 20, 10
    many = made_up.confusion(40, 3, 21)
    results = [
        made_up.result("few", accuracy=0.75, classes=names, counts=counts),
        made_up.result("many", classes=names, counts=many),
        made_up.result("none", classes=names),
    ]
    confusion.draw(Path("confusion.png"), results)
    figure = drawn["confusion.png"]
    assert (
        figure.get_suptitle() == "The most confused classes: test images, and % of the true class"
    )
    few, crowd, none = panels.shown(figure)
    assert few.get_title() == "few: 0.7500 right"
    assert panels.ticks(few, "y") == {
        f"{names[20]} called {names[0]}": 0,
        f"{names[3]} called {names[5]}": 1,
        f"{names[7]} called {names[2]}": 2,
    }
    assert bars(few) == {0: 20, 1: 10, 2: 10}
    assert [text.get_text() for text in few.texts] == [" 20 (40%)", " 10 (25%)", " 10 (25%)"]
    assert few.get_xlabel() == "test images"
    bottom, top = few.get_ylim()
    assert bottom > top
    assert len(bars(crowd)) == PAIRS
    lengths = sorted((many - np.diag(np.diag(many))).ravel(), reverse=True)[:PAIRS]
    assert list(bars(crowd).values()) == lengths
    assert bars(none) == {}
    assert none.get_xlabel() == "no mistakes"


def line(result: Result, column: str) -> panels.Points:
    return panels.points(result.history["epoch"], result.history[column].fillna(-1))


def lines(axis: Axes) -> dict[str, panels.Points]:
    """As panels.lines, with -1 for NaN, which would not equal itself."""
    return {
        label: [(x, -1.0 if np.isnan(y) else y) for x, y in found]
        for label, found in panels.lines(axis).items()
    }


def test_curves_show_four_figures_of_every_variant_against_the_epoch(
    drawn: dict[str, Figure],
) -> None:
    results = five()
    curves.curves(Path("curves.png"), results)
    figure = drawn["curves.png"]
    assert figure.get_suptitle() == "Every variant, epoch by epoch"
    expected = [
        ("Training accuracy", "accuracy", "accuracy"),
        ("Validation accuracy", "accuracy", "val_accuracy"),
        ("Training loss", "loss (nats)", "loss"),
        ("Validation loss", "loss (nats)", "val_loss"),
    ]
    for axis, (title, label, column) in zip(figure.axes, expected, strict=True):
        assert (axis.get_title(), axis.get_ylabel(), axis.get_xlabel()) == (title, label, "epoch")
        assert lines(axis) == {result.variant: line(result, column) for result in results}
        assert axis.get_xlim()[0] == 0
    one, two, three, four = figure.axes
    assert one.get_shared_y_axes().joined(one, two)
    assert three.get_shared_y_axes().joined(three, four)
    assert not one.get_shared_y_axes().joined(one, three)
    assert panels.legend(figure) == ["best", "final", "deep", "adam", "sgd"]


def test_curves_of_many_variants_differ_in_their_look(drawn: dict[str, Figure]) -> None:
    names = [f"v{number}" for number in range(16)]
    results = [made_up.result(name, learned=made_up.history(12, 1)) for name in names]
    curves.curves(Path("curves.png"), results)
    for axis in drawn["curves.png"].axes:
        dashes = [(str(found.get_linestyle()), found.get_marker()) for found in axis.lines]
        colours = [(found.get_color(), found.get_markerfacecolor()) for found in axis.lines]
        assert len(set(zip(dashes, colours, strict=True))) == len(names)
        assert len(set(dashes)) == 8
        # Markers stand two epochs apart; neighbours' are at different ones.
        assert [found.get_markevery() for found in axis.lines] == [(0, 2), (1, 2)] * 8


def test_training_beside_validation_a_pair_of_panels_each(drawn: dict[str, Figure]) -> None:
    results = five()
    curves.training(Path("training.png"), results)
    figure = drawn["training.png"]
    assert figure.get_suptitle() == "Training against validation"
    assert panels.legend(figure) == ["training", "validation"]
    assert len(figure.axes) == 12
    grid = np.reshape(np.array(figure.axes, object), (4, 3))
    assert [axis.axison for axis in grid[2:, 2]] == [False, False]
    places = [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]
    for result, (row, column) in zip(results, places, strict=True):
        above, below = grid[row, column], grid[row + 1, column]
        assert (above.axison, below.axison) == (True, True)
        assert (above.get_title(), below.get_title()) == (result.variant, "")
        assert (above.get_ylabel(), below.get_ylabel()) == ("accuracy", "loss (nats)")
        assert (above.get_xlabel(), below.get_xlabel()) == ("epoch", "epoch")
        for axis, name in ((above, "accuracy"), (below, "loss")):
            assert lines(axis) == {
                "training": line(result, name),
                "validation": line(result, f"val_{name}"),
            }
            own, others = axis.lines
            assert own.get_color() != others.get_color()
            assert own.get_linestyle() != others.get_linestyle()


@pytest.mark.parametrize("name", ["accuracy", "loss"])
def test_panels_of_a_kind_have_the_same_limits_which_hold_all_curves(
    drawn: dict[str, Figure], name: str
) -> None:
    low, high, middle = (made_up.history(3, seed) for seed in (1, 2, 3))
    results = [
        made_up.result("low", learned=low.assign(**{f"val_{name}": [-0.5, -0.25, 0.0]})),
        made_up.result("high", learned=high.assign(**{f"val_{name}": [1.0, 1.25, 1.5]})),
        made_up.result("middle", learned=middle),
    ]
    curves.training(Path("training.png"), results)
    label = {"accuracy": "accuracy", "loss": "loss (nats)"}[name]
    limits = {axis.get_ylim() for axis in drawn["training.png"].axes if axis.get_ylabel() == label}
    ((bottom, top),) = limits
    assert -0.7 < bottom < -0.5
    assert 1.5 < top < 1.7


@pytest.mark.parametrize("draw", [curves.curves, curves.training])
def test_epochs_are_whole_numbers_even_if_there_is_but_one(
    drawn: dict[str, Figure], draw: Callable[..., None]
) -> None:
    for epochs in (1, 30):
        draw(Path("figure.png"), [made_up.result(learned=made_up.history(epochs, 1))])
        for axis in panels.shown(drawn["figure.png"]):
            low, high = axis.get_xlim()
            ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
            assert len(ticks) >= 2
            assert all(tick == int(tick) for tick in ticks)


def test_reliability_has_a_panel_for_each_variant_with_its_bins_and_error(
    drawn: dict[str, Figure],
) -> None:
    results = [
        made_up.result("deep", accuracy=0.75, calibration_error=0.0625),
        made_up.result("new", accuracy=0.5, calibration_error=0.25),
        made_up.result("last", accuracy=0.25),
    ]
    reliability.draw(Path("reliability.png"), results)
    figure = drawn["reliability.png"]
    shown = panels.shown(figure)
    titles = [axis.get_title() for axis in shown]
    assert titles == ["deep: error 0.062", "new: error 0.250", "last: error 0.125"]
    for axis, result in zip(shown, results, strict=True):
        drawn_lines = panels.lines(axis)
        assert drawn_lines["as sure as right"] == [(0, 0), (1, 1)]
        right = result.metrics.accuracy
        assert drawn_lines["test images"] == [(0.55, right / 2), (0.95, right)]
        (marks,) = axis.collections
        small, large = marks.get_sizes()  # type: ignore[attr-defined]
        assert large == pytest.approx(4 * small)  # 800 images and 200
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("confidence", "accuracy")
        assert (axis.get_xlim(), axis.get_ylim()) == ((0, 1), (0, 1))
    assert panels.legend(figure) == ["as sure as right", "test images"]
