"""What the variants mistake for what: a matrix each, or the most confused pairs of many classes."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.comparison.results import MATRIX_CLASSES, PAIRS, Result, confused
from pipeline.report import figures
from pipeline.report.figures import Axes, PowerNorm

BAR = "#56B4E9"  # light enough for black numbers
BESIDE: dict[str, Any] = {"va": "center_baseline", "fontsize": 8}
# Inches: of a cell, in which three digits of 7 points have room; of a matrix, at least; and of a
# name for which the margins have room anyway.
CELL, LEAST, USUAL = 0.3, 3.4, 0.85


def draw(path: Path, results: list[Result]) -> None:
    """A panel for each result, all of the same classes, as the PNG `path`."""
    many = len(results[0].classes) > MATRIX_CLASSES
    (_all_pairs if many else _matrices)(path, results)


def _matrices(path: Path, results: list[Result]) -> None:
    """The matrices side by side, in per cent of the images of the true class."""
    names = [figures.short(name) for name in results[0].classes]
    columns, rows = figures.grid(len(results))
    side = max(LEAST, CELL * len(names))
    longer = max(0.0, max(map(figures.inches, names)) - USUAL)
    with figures.drawing(
        path,
        nrows=rows,
        ncols=columns,
        figsize=(side * columns + 1.4 + longer, (side + 0.2) * rows + 1.8 + longer),
        squeeze=False,
        dpi=figures.DPI,
    ) as (figure, axes):
        for axis in axes.flat[len(results) :]:
            axis.set_axis_off()
        for position, (axis, result) in enumerate(zip(axes.flat, results, strict=False)):
            _matrix(axis, result)
            if position + columns >= len(results):  # nothing below it
                axis.set_xticks(range(len(names)), names, rotation=90)
                axis.set_xlabel("predicted class")
        for axis in axes[:, 0]:
            axis.set_yticks(range(len(names)), names)
            axis.set_ylabel("true class")
        figures.spread(figure)
        figure.suptitle("Confusion on the test set, % of the true class")
        if longer or side > LEAST:
            figures.settle(figure)


def _matrix(axis: Axes, result: Result) -> None:
    totals = result.confusion.sum(axis=1, keepdims=True)
    percent = 100 * result.confusion / np.maximum(totals, 1)
    # The square root spreads the small shares, which are the mistakes.
    axis.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=100))
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value > 40 else "black"
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7)
    axis.set_title(_title(result), fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def _all_pairs(path: Path, results: list[Result]) -> None:
    """The most confused pairs of classes, as bars of the test images, two panels a row."""
    columns = min(2, len(results))
    rows = math.ceil(len(results) / columns)
    with figures.drawing(
        path,
        nrows=rows,
        ncols=columns,
        figsize=(7.5 * columns, (0.24 * PAIRS + 0.8) * rows + 0.6),
        squeeze=False,
        dpi=figures.DPI,
    ) as (figure, axes):
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, result in zip(axes.flat, results, strict=False):
            _pairs(axis, result)
        figures.spread(figure)
        figure.suptitle("The most confused classes: test images, and % of the true class")


def _pairs(axis: Axes, result: Result) -> None:
    found = confused(result.confusion, PAIRS)
    names = [figures.short(name) for name in result.classes]
    totals = result.confusion.sum(axis=1)
    places, counts = range(len(found)), [count for *_, count in found]
    axis.set_axis_on()
    axis.barh(places, counts, height=0.6, color=BAR)
    for place, (actual, _, count) in enumerate(found):
        axis.text(0, place, f" {count} ({count / totals[actual]:.0%})", **BESIDE)
    labels = [f"{names[actual]} called {names[predicted]}" for actual, predicted, _ in found]
    axis.set_yticks(places, labels, fontsize=8)
    axis.set_ylim(PAIRS - 0.5, -0.5)  # the most frequent on top, bars of all panels as thick
    axis.set_xlim(0, 1.05 * max(counts, default=1))
    axis.xaxis.set_major_locator(figures.MaxNLocator(integer=True))
    axis.set_xlabel("test images" if found else "no mistakes")
    axis.set_title(_title(result), fontsize=10)
    axis.grid(visible=False, axis="y")


def _title(result: Result) -> str:
    return f"{result.variant}: {result.metrics.accuracy:.4f} right"
