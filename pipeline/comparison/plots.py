"""The figures of the comparison."""

import colorsys
import math
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import plotting
from pipeline.comparison.results import Result
from pipeline.evaluation.metrics import calibration_curve
from pipeline.plotting import Axes, Figure, MaxNLocator, PowerNorm

BAR = "#56B4E9"  # light enough for black numbers
CURVES = {
    "accuracy": "Training accuracy",
    "val_accuracy": "Validation accuracy",
    "loss": "Training loss (nats), variants without label smoothing",
    "val_loss": "Validation loss (nats)",
}
CELL, MIN_MATRIX = 0.3, 3.4  # inches: a matrix cell with three digits, and the smallest matrix
MATRIX_CLASSES = 20  # a confusion matrix of more classes is illegible
MAX_NAME = 24  # characters of a class name beside a matrix
MARKERS = "os^DvPX*<p>hd8H"  # filled ones that differ in grey
TICKS = {15: "15 s", 30: "30 s", 3600: "1 h"} | {60 * n: f"{n} min" for n in (1, 2, 5, 10, 20)}
MAX_MARKER = 140  # points², of a confidence bin with all test images


def draw_accuracy(path: Path, comparison: pd.DataFrame, confidence: float, note: str = "") -> None:
    """Bars of the result of tables.comparison_table, with a `note` above, if any."""
    rows = np.arange(len(comparison))
    size, grid = (10, 0.5 * len(rows) + 1.9), {"ncols": 2, "sharey": True}
    with plotting.figure(path, figsize=size, dpi=plotting.DPI, **grid) as (figure, axes):
        for axis, metric in zip(axes, ("accuracy", "loss"), strict=True):
            axis.barh(rows, comparison[metric], 0.6, color=BAR, label="this pipeline")
            for row, value in enumerate(comparison[metric]):
                axis.text(0, row, f" {value:.4f}", va="center_baseline")
            published = comparison.get(f"published_{metric}", pd.Series())
            if published.notna().any():
                style = {"marker": "v", "s": 50, "color": "#D55E00", "label": "published"}
                axis.scatter(published, rows - 0.38, **style)
            axis.grid(visible=False, axis="y")
        bounds = comparison[["accuracy_low", "accuracy_high"]].T.to_numpy()
        label = f"{100 * confidence:g} % interval (binomial, Wilson)"
        style = {"linestyle": "none", "color": "black", "capsize": 4, "label": label}
        accuracy = comparison["accuracy"].to_numpy()
        axes[0].errorbar(accuracy, rows, xerr=np.abs(bounds - accuracy), **style)
        axes[0].set(title="Test accuracy", xlabel="share of test images classified correctly")
        axes[1].set(title="Test loss", xlabel="categorical cross-entropy (nats)")
        axes[0].set_yticks(rows, comparison["variant"])
        axes[0].set_ylim(len(rows) - 0.5, -0.7)  # the first variant on top
        figure.suptitle(note)
        _legend(figure, axes[0])


def draw_learning_curves(path: Path, results: Sequence[Result], smoothed: Container[str]) -> None:
    """Accuracy and loss of all variants against the epoch, on shared axes.

    Label smoothing raises the loss, so the training loss of `smoothed` variants is left out.
    """
    grid = {"nrows": 2, "ncols": 2, "sharex": True, "sharey": "row"}
    with plotting.figure(path, figsize=(10, 8), dpi=plotting.DPI, **grid) as (figure, axes):
        for axis, (column, title) in zip(axes.flat, CURVES.items(), strict=True):
            axis.set_prop_cycle(plotting.LINES)
            for result in results:
                epochs, values = result.history["epoch"], result.history[column]
                style = {"markersize": 5, "markevery": math.ceil(len(epochs) / 6)}
                if column == "loss" and result.variant in smoothed:
                    values = np.full(len(epochs), np.nan)
                axis.plot(epochs, values, label=result.variant, **style)
            axis.set(title=title, xlabel="epoch", xlim=(0, None))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(figure, axes[0, 0])
        figure.suptitle("Learning curves of all variants, of several seeds the first")


def draw_confusion(path: Path, results: Sequence[Result]) -> None:
    """A confusion matrix per variant; without names and numbers for more than MATRIX_CLASSES."""
    classes = results[0].classes
    names = [name[:MAX_NAME] for name in classes] if len(classes) <= MATRIX_CLASSES else []
    with _panels(path, len(results), max(MIN_MATRIX, CELL * len(names))) as (figure, axes):
        for result, axis in zip(results, axes, strict=False):
            totals = result.confusion.sum(axis=1, keepdims=True)
            percent = 100 * result.confusion / np.maximum(totals, 1)
            # The square root makes small shares, the errors, visible.
            axis.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=100))
            for (row, column), value in np.ndenumerate(percent) if names else ():
                text = axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7)
                text.set_color("white" if value > 40 else "black")
            axis.set_title(f"{result.variant}: accuracy {result.metrics.accuracy:.4f}", fontsize=10)
            axis.set(xlabel="predicted class", ylabel="true class")
            axis.set_xticks(range(len(names)), names, rotation=90)
            axis.set_yticks(range(len(names)), names)
            axis.label_outer()
            axis.grid(visible=False)
        label = "% of the true class"
        figure.colorbar(axes[0].images[0], ax=list(axes), label=label, shrink=0.4)
        figure.suptitle("Confusion matrices of the test set, of several seeds the first")


def draw_reliability(path: Path, results: Sequence[Result], bins: int) -> None:
    """A reliability diagram per variant, markers as large as the bin's share of test images."""
    with _panels(path, len(results), 2.9) as (figure, axes):
        for result, axis in zip(results, axes, strict=False):
            confidence = result.predictions["confidence"].to_numpy()
            images, confidences, hits = calibration_curve(confidence, result.correct, bins)
            images, *sums = (values[images > 0] for values in (images, confidences, hits))
            mean_confidence, accuracy = (values / images for values in sums)
            axis.plot([0, 1], [0, 1], color="#999999", linestyle="--", label="perfect calibration")
            axis.plot(mean_confidence, accuracy, color="#0072B2", label="test images")
            sizes = MAX_MARKER * images / images.sum()
            axis.scatter(mean_confidence, accuracy, sizes, color="#0072B2", clip_on=False)
            error = result.metrics.model_dump()["calibration_error"]
            axis.set_title(f"{result.variant}: ECE {error:.3f}", fontsize=10)
            axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
            axis.set(xlabel="confidence", ylabel="accuracy")
        _legend(figure, axes[0])
        title = "Reliability and expected calibration error (ECE), of several seeds the first"
        figure.suptitle(f"{title};\nmarker area: share of test images")


def draw_training_times(path: Path, table: pd.DataFrame) -> None:
    """The points of `table`, the result of compare.training_times; the notebook's are hollow."""
    variants = list(dict.fromkeys(table["variant"]))
    with plotting.figure(path, figsize=(10, 6), dpi=plotting.DPI) as (_, axis):
        for row in table.itertuples():
            number, name = variants.index(row.variant), row.variant
            color = fill = colorsys.hsv_to_rgb(number / len(variants), 0.9, 0.75)
            if row.trained == "notebook":
                name, fill = f"{name}, notebook", (1, 1, 1)
            style = {"marker": MARKERS[number % len(MARKERS)], "markersize": 9, "color": color}
            axis.plot(row.seconds, row.accuracy, markerfacecolor=fill, **style)
            offset = {"xytext": (9, 0), "textcoords": "offset points"}
            axis.annotate(name, (row.seconds, row.accuracy), va="center_baseline", **offset)
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        axis.set_xticks(list(TICKS), list(TICKS.values()))
        axis.set_xlim(low, 1.3 * high)  # names are to the right of their points
        axis.minorticks_off()
        machines = " and ".join(dict.fromkeys(table["machine"])) or "no machine"
        axis.set(title="Test accuracy against training time", ylabel="test accuracy")
        axis.set_xlabel(f"training time on {machines} (of the notebook, its epochs alone)")


@contextmanager
def _panels(path: Path, count: int, side: float) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """At least `count` square panels of `side` inches, at most four a row; others are off."""
    rows = math.ceil(count / 4)
    columns = math.ceil(count / rows)
    size = (side * columns + 1.5, side * rows + 1.5)
    grid = {"nrows": rows, "ncols": columns, "squeeze": False}
    with plotting.figure(path, figsize=size, dpi=plotting.DPI, **grid) as (figure, axes):
        for axis in axes.flat[count:]:
            axis.set_axis_off()
        yield figure, axes.flat


def _legend(figure: Figure, axis: Axes) -> None:
    entries = axis.get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=4, handlelength=4)
