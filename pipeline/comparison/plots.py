"""The figures of the comparison: accuracy, learning curves, confusion and reliability."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.comparison.results import MATRIX_CLASSES, Result
from pipeline.report import figures
from pipeline.report.figures import CARETDOWN, Axes, Figure, MaxNLocator, PowerNorm

BAR = "#56B4E9"  # light enough for black numbers
BAR_HEIGHT = 0.6
# Distinct in grey, too. Markers, as a training of one epoch has no line.
TRAINING: dict[str, Any] = {"color": "#E69F00", "linestyle": "--", "marker": "s", "markersize": 3}
VALIDATION: dict[str, Any] = {"color": "#0072B2", "linestyle": "-", "marker": "o", "markersize": 3}
LABELS = {"accuracy": "accuracy", "loss": "loss (nats)"}
# Inches: a matrix cell with room for three digits, the smallest matrix, and the margin for class
# names that every matrix has.
CELL, MIN_MATRIX, NAME_MARGIN = 0.3, 3.4, 0.85
MAX_MARKER = 140  # points², of a confidence bin with all test images


def draw_accuracy(path: Path, comparison: pd.DataFrame, confidence: float) -> None:
    """Bars of test accuracy, with its interval, and test loss, with the published values if any.

    `comparison` is the result of tables.comparison_table with the variant as index.
    """
    rows = np.arange(len(comparison))
    with figures.drawing(
        path, ncols=2, sharey=True, figsize=(10, 0.5 * len(rows) + 1.9), dpi=figures.DPI
    ) as (figure, axes):
        for axis, metric in zip(axes, ("accuracy", "loss"), strict=True):
            values = comparison[metric]
            axis.barh(rows, values, height=BAR_HEIGHT, color=BAR, label="this pipeline")
            for row, value in enumerate(values):
                axis.text(0, row, f" {value:.4f}", va="center_baseline")
            if metric == "accuracy":
                bounds = comparison[["accuracy_low", "accuracy_high"]].T.to_numpy()
                label = f"{100 * confidence:g} % interval (binomial, Wilson)"
                style = {"linestyle": "none", "color": "black", "capsize": 4, "label": label}
                axis.errorbar(values, rows, xerr=np.abs(bounds - values.to_numpy()), **style)
            if f"published_{metric}" in comparison:
                # The tip touches the bar and hides neither its end nor the interval.
                style = {"marker": CARETDOWN, "s": 80, "color": "#D55E00"}
                label = "published by the study"
                published = comparison[f"published_{metric}"]
                axis.scatter(published, rows - BAR_HEIGHT / 2, label=label, **style)
            axis.grid(visible=False, axis="y")
        axes[0].set(title="Test accuracy", xlabel="share of test images classified correctly")
        axes[1].set(title="Test loss", xlabel="categorical cross-entropy (nats)")
        axes[0].set_yticks(rows, comparison.index)
        axes[0].set_ylim(len(rows) - 0.5, -0.7)  # the first variant on top
        _legend(figure, axes[0], columns=3)
        figures.spread(figure)


def draw_learning_curves(path: Path, results: Sequence[Result]) -> None:
    """Accuracy and loss of all variants against the epoch, on shared axes."""
    with figures.drawing(
        path, nrows=2, ncols=2, sharex=True, sharey="row", figsize=(10, 8), dpi=figures.DPI
    ) as (figure, axes):
        for axis, column, title in (
            (axes[0, 0], "accuracy", "Training accuracy"),
            (axes[0, 1], "val_accuracy", "Validation accuracy"),
            (axes[1, 0], "loss", "Training loss, label smoothing included"),
            (axes[1, 1], "val_loss", "Validation loss"),
        ):
            for position, result in enumerate(results):
                epochs = result.history["epoch"]
                style = _line_style(position, len(epochs))
                axis.plot(epochs, result.history[column], label=result.variant, **style)
            axis.set(title=title, ylabel=LABELS[column.removeprefix("val_")])
            axis.tick_params(labelbottom=True, labelleft=True)
            _set_epoch_axis(axis)
        _legend(figure, axes[0, 0], columns=figures.grid(len(results))[0], handlelength=4)
        figures.spread(figure)
        figure.suptitle("Learning curves of all variants")


def draw_training(path: Path, results: Sequence[Result]) -> None:
    """Training against validation: a panel of accuracy above one of loss for each variant."""
    columns, _ = figures.grid(len(results))
    size = (max(4.5, 2.9 * columns) / columns, 4.6)
    with _panels(path, len(results), size, (0, 0.8), height=2) as (figure, panels):
        for result, pair in zip(results, panels, strict=False):
            for axis, first, metric in zip(pair, panels[0], LABELS, strict=True):
                epochs = result.history["epoch"]
                axis.plot(epochs, result.history[metric], label="training", **TRAINING)
                axis.plot(epochs, result.history[f"val_{metric}"], label="validation", **VALIDATION)
                axis.set_ylabel(LABELS[metric])
                if axis is not first:
                    axis.sharey(first)
                _set_epoch_axis(axis)
            pair[0].set_title(result.variant)
        _legend(figure, panels[0, 0], columns=2)
        figure.suptitle("Training against validation")


def draw_confusion(path: Path, results: Sequence[Result]) -> None:
    """A confusion matrix per variant; without names and numbers for more than MATRIX_CLASSES."""
    classes = results[0].classes
    names = [figures.short(name) for name in classes] if len(classes) <= MATRIX_CLASSES else []
    side = max(MIN_MATRIX, CELL * len(names))
    margin = max(0.0, max(map(figures.inches, names), default=0.0) - NAME_MARGIN)
    columns, _ = figures.grid(len(results))
    size, extra = (side, side + 0.2), (1.4 + margin, 1.8 + margin)
    with _panels(path, len(results), size, extra) as (figure, panels):
        for position, (result, (axis,)) in enumerate(zip(results, panels, strict=False)):
            _draw_matrix(axis, result, numbers=bool(names))
            if position + columns >= len(results):  # no panel below
                axis.set_xticks(range(len(names)), names, rotation=90)
                axis.set_xlabel("predicted class")
            if position % columns == 0:
                axis.set_yticks(range(len(names)), names)
                axis.set_ylabel("true class")
        figure.suptitle("Confusion on the test set, % of the true class")
        if margin or side > MIN_MATRIX:
            figures.settle(figure)


def draw_reliability(path: Path, results: Sequence[Result]) -> None:
    """A reliability diagram per variant, markers as large as the bin's share of test images."""
    columns, _ = figures.grid(len(results))
    size = (max(4.5, 2.7 * columns) / columns, 2.9)
    with _panels(path, len(results), size, (0, 1)) as (figure, panels):
        for result, (axis,) in zip(results, panels, strict=False):
            bins = result.reliability
            axis.plot([0, 1], [0, 1], color="#999999", linestyle="--", label="perfect calibration")
            axis.plot(bins["confidence"], bins["accuracy"], color="#0072B2", label="test images")
            sizes = MAX_MARKER * bins["images"] / bins["images"].sum()
            axis.scatter(
                bins["confidence"], bins["accuracy"], sizes, color="#0072B2", clip_on=False
            )
            error = result.metrics.model_dump()["calibration_error"]
            axis.set_title(f"{result.variant}: ECE {error:.3f}", fontsize=10)
            axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
            axis.set(xlabel="confidence", ylabel="accuracy")
        _legend(figure, panels[0, 0], columns=2)
        figure.suptitle(
            "Reliability and expected calibration error (ECE);\nmarker area: share of test images"
        )


@contextmanager
def _panels(
    path: Path,
    count: int,
    size: tuple[float, float],
    extra: tuple[float, float],
    height: int = 1,
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A grid of `count` cells of `size` inches, with `extra` inches for margins in all.

    Yields the figure and its axes, shape (cells, height): those of a cell from top to bottom.
    """
    columns, rows = figures.grid(count)
    with figures.drawing(
        path,
        nrows=rows * height,
        ncols=columns,
        figsize=(size[0] * columns + extra[0], size[1] * rows + extra[1]),
        squeeze=False,
        dpi=figures.DPI,
    ) as (figure, axes):
        cells = axes.reshape(rows, height, columns).swapaxes(1, 2).reshape(-1, height)
        for axis in cells[count:].flat:
            axis.set_axis_off()
        figures.spread(figure)
        yield figure, cells


def _legend(figure: Figure, axis: Axes, columns: int, **style: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **style)


def _line_style(position: int, epochs: int) -> dict[str, Any]:
    """A style per variant; hollow markers distinguish the ninth from the first."""
    style: dict[str, Any] = dict(figures.LINES[position % len(figures.LINES)])
    if position // len(figures.LINES) % 2:
        style["markerfacecolor"] = "white"
    # Markers of neighbours are at different epochs, so that none hides another.
    step = math.ceil(epochs / 6)
    return {**style, "markersize": 5, "linewidth": 1.4, "markevery": (position % step, step)}


def _set_epoch_axis(axis: Axes) -> None:
    axis.set_xlabel("epoch")
    axis.set_xlim(left=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _draw_matrix(axis: Axes, result: Result, *, numbers: bool) -> None:
    totals = result.confusion.sum(axis=1, keepdims=True)
    percent = 100 * result.confusion / np.maximum(totals, 1)
    # The square root makes small shares, the mistakes, visible.
    axis.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=100))
    for (row, column), value in np.ndenumerate(percent) if numbers else ():
        colour = "white" if value > 40 else "black"
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7)
    axis.set(xticks=[], yticks=[])
    axis.set_title(f"{result.variant}: accuracy {result.metrics.accuracy:.4f}", fontsize=10)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
