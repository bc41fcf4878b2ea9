"""The figures of the comparison: the data drawn in their panels."""

import dataclasses
import shutil
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import panels
import pytest
from conftest import PROJECT
from made_up import NAMES

from pipeline.comparison import compare, plots
from pipeline.comparison.results import Result
from pipeline.plotting import Figure

NAN = float("nan")
# The first and the last were published; no two numbers are equal.
COMPARISON = pd.DataFrame(
    {
        "accuracy": [0.75, 0.625, 0.5],
        "variant": ["deep", "new", "baseline"],
        "accuracy_low": [0.6875, 0.5, 0.4375],
        "accuracy_high": [0.78125, 0.65625, 0.53125],
        "loss": [0.5, 1.0, 2.0],
        "published_accuracy": [0.8125, NAN, 0.25],
        "published_loss": [0.375, NAN, 1.5],
    },
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
            learned=made_up.history(share // 10, share, validated=name != "best"),
        )
        for name, share in {"best": 80, "final": 75, "deep": 45, "adam": 35, "sgd": 30}.items()
    ]


def test_accuracy_bars_intervals_and_published_marks(drawn: dict[str, Figure]) -> None:
    plots.draw_accuracy(Path("accuracy.png"), COMPARISON, 0.9)
    left, right = drawn["accuracy.png"].axes
    assert panels.ticks(left, "y") == {"deep": 0, "new": 1, "baseline": 2}
    assert left.yaxis_inverted()
    for axis, metric in ((left, "accuracy"), (right, "loss")):
        bars = COMPARISON[metric].tolist()
        assert [bar.get_width() for bar in axis.patches] == bars  # type: ignore[attr-defined]
        texts = [(*text.get_position(), text.get_text()) for text in axis.texts]
        assert texts == [(0, row, f" {value:.4f}") for row, value in enumerate(bars)]
        marks = np.asarray(axis.collections[0].get_offsets())[:, 0]
        np.testing.assert_array_equal(marks, COMPARISON[f"published_{metric}"])
    _, intervals = left.collections
    assert len(right.collections) == 1
    bounds = np.array(intervals.get_segments())[:, :, 0]  # type: ignore[attr-defined]
    assert bounds.tolist() == COMPARISON[["accuracy_low", "accuracy_high"]].to_numpy().tolist()
    for unpublished in (
        COMPARISON.drop(columns="published_accuracy"),
        COMPARISON.assign(published_accuracy=NAN),
    ):
        plots.draw_accuracy(Path("accuracy.png"), unpublished, 0.9)
        assert len(drawn["accuracy.png"].axes[0].collections) == 1  # the intervals


def test_confusion_in_per_cent_of_the_true_class(drawn: dict[str, Figure]) -> None:
    results = five()
    results[0].confusion[:2] *= 3  # classes of unequal size, in the cached matrix
    plots.draw_confusion(Path("confusion.png"), results)
    *shown, scale = panels.shown(drawn["confusion.png"])
    assert scale.get_ylim() == (0, 100)
    for axis, result in zip(shown, results, strict=True):
        percent = 100 * result.confusion / result.confusion.sum(axis=1, keepdims=True)
        (image,) = axis.images
        assert np.asarray(image.get_array()).tolist() == percent.tolist()
        assert {
            text.get_position(): (text.get_text(), text.get_color()) for text in axis.texts
        } == {
            (column, row): (f"{value:.0f}", "white" if value > 40 else "black")
            for (row, column), value in np.ndenumerate(percent)
        }
    positions = dict(zip(NAMES, range(10), strict=True))
    assert panels.ticks(shown[3], "x") == panels.ticks(shown[3], "y") == positions


@pytest.mark.parametrize(("classes", "texts"), [(20, 400), (21, 0)])
def test_confusion_of_many_classes_has_neither_names_nor_numbers(
    drawn: dict[str, Figure], classes: int, texts: int
) -> None:
    counts = made_up.confusion(40, 3, classes)
    names = [f"class {number}" for number in range(classes)]
    plots.draw_confusion(Path("confusion.png"), [made_up.result(classes=names, counts=counts)])
    axis, _ = drawn["confusion.png"].axes
    assert np.asarray(axis.images[0].get_array()).tolist() == counts.tolist()
    assert (len(axis.texts), len(panels.ticks(axis, "x"))) == (texts, texts // 20)


def test_learning_curves_of_all_variants(drawn: dict[str, Figure]) -> None:
    results = five()
    plots.draw_learning_curves(Path("curves.png"), results, smoothed=["final"])
    axes = drawn["curves.png"].axes
    for axis, column in zip(axes, ("accuracy", "val_accuracy", "loss", "val_loss"), strict=True):
        for line, result in zip(axis.lines, results, strict=True):
            assert line.get_label() == result.variant
            expected = result.history[["epoch", column]].to_numpy(copy=True)
            if (column, result.variant) == ("loss", "final"):
                expected[:, 1] = NAN
            np.testing.assert_array_equal(line.get_xydata(), expected)
    assert axes[0].get_ylim() == axes[1].get_ylim() != axes[2].get_ylim() == axes[3].get_ylim()
    assert len({(line.get_marker(), line.get_linestyle()) for line in axes[0].lines}) == 5
    assert panels.legend(drawn["curves.png"]) == [result.variant for result in results]


def test_reliability_diagram_of_each_variant(drawn: dict[str, Figure]) -> None:
    counts = np.array([[4, 6], [0, 10]])
    results = [
        made_up.result("deep", counts=counts, classes=("a", "b"), calibration_error=0.0625),
        made_up.result("new", counts=counts.T, classes=("a", "b"), calibration_error=0.25),
    ]
    plots.draw_reliability(Path("reliability.png"), results, 10)
    axes = panels.shown(drawn["reliability.png"])
    # Images 0, 5, 10 and 15 have a confidence of 0.55, the others 0.95.
    for axis, error in zip(axes, ("0.062", "0.250"), strict=True):
        assert error in axis.get_title()
        diagonal, curve = (np.asarray(line.get_xydata()) for line in axis.lines)
        assert diagonal.tolist() == [[0, 0], [1, 1]]
        np.testing.assert_allclose(curve, [[0.55, 3 / 4], [0.95, 11 / 16]])
        (marks,) = axis.collections
        np.testing.assert_array_equal(marks.get_offsets(), curve)
        assert np.divide(*marks.get_sizes()) == 4 / 16  # type: ignore[attr-defined]


def test_training_times_of_variants_and_notebook(drawn: dict[str, Figure]) -> None:
    final = dataclasses.replace(made_up.result("final", accuracy=0.7), time=(120.0, "M"))
    published = pd.read_csv(PROJECT / compare.PUBLISHED, index_col="variant")
    shutil.copytree(PROJECT / "pipeline/comparison", "pipeline/comparison")
    seconds = {"baseline": 300, "improved": 600, "deep": 750, "final": 900}
    rows = [f"{variant},{value},N" for variant, value in seconds.items()]
    compare.NOTEBOOK.write_text("\n".join(["variant,seconds,machine", *rows]))
    table = compare.training_times([[final], [made_up.result("untimed")]], published)
    plots.draw_training_times(Path("times.png"), table)
    (axis,) = drawn["times.png"].axes
    assert "M and N" in axis.get_xlabel()
    lines = {text.get_text(): line for text, line in zip(axis.texts, axis.lines, strict=True)}
    assert {name: tuple(np.asarray(line.get_xydata())[0]) for name, line in lines.items()} == {
        "final": (120, 0.7),
        "baseline, notebook": (300, 0.6005),
        "improved, notebook": (600, 0.6388),
        "deep, notebook": (750, 0.699),
        "final, notebook": (900, 0.7143),
    }
    styles = [(line.get_color(), line.get_marker()) for line in lines.values()]
    for style in zip(*styles, strict=True):
        assert len(set(style)) == 4, "a colour and a marker per variant"
    assert styles[0] == styles[-1]
    hollow = {name for name, line in lines.items() if line.get_markerfacecolor() == (1, 1, 1)}
    assert hollow == lines.keys() - {"final"}
