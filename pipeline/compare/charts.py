"""How good the variants are: bars and confusion matrices, side by side."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.results import Result
from pipeline.data.cifar10 import CLASSES
from pipeline.report import figures
from pipeline.report.figures import CARETDOWN, Axes, PowerNorm

BAR = "#56B4E9"  # light enough for black numbers
BAR_HEIGHT = 0.6
PUBLISHED: dict[str, Any] = {
    "label": "published by the study",
    "marker": CARETDOWN,
    "markersize": 9,
    "color": "#D55E00",
    "markeredgecolor": "black",
    "linestyle": "none",
}


def accuracy(path: Path, comparison: pd.DataFrame, confidence: float) -> None:
    """Test accuracy with its interval, and test loss, as bars beside the published values.

    `comparison` is the result of table.table with the variant as index.
    """
    shares = comparison["accuracy"]
    interval = np.abs(
        comparison[["accuracy_low", "accuracy_high"]].T.to_numpy() - shares.to_numpy()
    )
    with figures.drawing(
        path, ncols=2, sharey=True, figsize=(10, 0.5 * len(comparison) + 1.9), dpi=figures.DPI
    ) as (figure, (left, right)):
        _bars(left, comparison, "accuracy")
        left.errorbar(
            shares,
            range(len(comparison)),
            xerr=interval,
            linestyle="none",
            color="black",
            capsize=4,
            label=f"{100 * confidence:g} % interval (binomial, Wilson)",
        )
        left.set(title="Test accuracy", xlabel="share of test images classified right")
        _bars(right, comparison, "loss")
        right.set(title="Test loss", xlabel="categorical cross-entropy (nats)")
        left.set_yticks(range(len(comparison)), comparison.index)
        left.set_ylim(len(comparison) - 0.5, -0.7)  # shared: the first variant on top
        handles, labels = left.get_legend_handles_labels()
        order = [1, 2, 0]  # bars, interval, published: as one reads the panel
        figure.legend(
            [handles[i] for i in order],
            [labels[i] for i in order],
            loc="outside lower center",
            ncols=3,
        )
        figures.spread(figure)


def confusion(path: Path, results: list[Result]) -> None:
    """The confusion matrices side by side, in per cent of the images of the true class."""
    columns, rows = figures.grid(len(results))
    with figures.drawing(
        path,
        nrows=rows,
        ncols=columns,
        figsize=(3.4 * columns + 1.4, 3.6 * rows + 1.8),
        squeeze=False,
        dpi=figures.DPI,
    ) as (figure, axes):
        for axis in axes.flat[len(results) :]:
            axis.set_axis_off()
        for position, (axis, result) in enumerate(zip(axes.flat, results, strict=False)):
            _matrix(axis, result)
            if position + columns >= len(results):  # nothing below it
                axis.set_xticks(range(len(CLASSES)), CLASSES, rotation=90)
                axis.set_xlabel("predicted class")
        for axis in axes[:, 0]:
            axis.set_yticks(range(len(CLASSES)), CLASSES)
            axis.set_ylabel("true class")
        figures.spread(figure)
        figure.suptitle("Confusion on the test set, % of the true class")


def _bars(axis: Axes, comparison: pd.DataFrame, name: str) -> None:
    places = np.arange(len(comparison))
    axis.barh(places, comparison[name], height=BAR_HEIGHT, color=BAR, label="this pipeline")
    # The tip touches the bar's upper edge: it hides neither the bar's end nor the interval.
    axis.plot(comparison[f"published_{name}"], places - BAR_HEIGHT / 2, **PUBLISHED)
    for place, value in enumerate(comparison[name]):
        axis.text(0, place, f" {value:.4f}", va="center_baseline")
    axis.grid(visible=False, axis="y")


def _matrix(axis: Axes, result: Result) -> None:
    totals = result.confusion.sum(axis=1, keepdims=True)
    percent = 100 * result.confusion / np.maximum(totals, 1)
    # The square root spreads the small shares, which are the mistakes.
    axis.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=100))
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value > 40 else "black"
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7)
    axis.set_title(f"{result.variant}: {result.metrics.accuracy:.4f} right", fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
