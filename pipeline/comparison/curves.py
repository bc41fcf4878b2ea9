"""How the variants learned: their histories, overlaid and one by one."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.comparison.results import Result
from pipeline.report import figures
from pipeline.report.figures import Axes, MaxNLocator

# Told apart without colour, too. Markers, as a run of one epoch has no line.
TRAINING: dict[str, Any] = {
    "label": "training",
    "color": "#E69F00",
    "linestyle": "--",
    "marker": "s",
    "markersize": 3,
}
VALIDATION: dict[str, Any] = {
    "label": "validation",
    "color": "#0072B2",
    "linestyle": "-",
    "marker": "o",
    "markersize": 3,
}
LABELS = {"accuracy": "accuracy", "loss": "loss (nats)"}


def curves(path: Path, results: list[Result]) -> None:
    """Accuracy and loss of every variant on shared axes against the epoch, as the PNG `path`."""
    shown = (
        ("accuracy", "Training accuracy", "accuracy"),
        ("val_accuracy", "Validation accuracy", "accuracy"),
        ("loss", "Training loss", "loss (nats)"),
        ("val_loss", "Validation loss", "loss (nats)"),
    )
    with figures.drawing(
        path, nrows=2, ncols=2, sharex=True, sharey="row", figsize=(10, 8), dpi=figures.DPI
    ) as (figure, axes):
        for axis, (column, title, label) in zip(axes.flat, shown, strict=True):
            for position, result in enumerate(results):
                epochs = result.history["epoch"]
                look = _line(position, len(epochs))
                axis.plot(epochs, result.history[column], label=result.variant, **look)
            axis.set_title(title)
            axis.set_ylabel(label)
            axis.tick_params(labelbottom=True, labelleft=True)
            _epochs(axis)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        columns, _ = figures.grid(len(results))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=4)
        figures.spread(figure)
        figure.suptitle("Every variant, epoch by epoch")


def training(path: Path, results: list[Result]) -> None:
    """Training against validation, accuracy above loss, a pair of panels for each variant."""
    columns, bands = figures.grid(len(results))
    with figures.drawing(
        path,
        nrows=2 * bands,
        ncols=columns,
        figsize=(max(4.5, 2.9 * columns), 4.6 * bands + 0.8),
        squeeze=False,
        dpi=figures.DPI,
    ) as (figure, axes):
        for axis in axes.flat:
            axis.set_axis_off()
        for position, result in enumerate(results):
            band, column = divmod(position, columns)
            for row, name in enumerate(("accuracy", "loss")):
                _pair(axes[2 * band + row, column], result, name, _range(results, name))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figures.spread(figure)
        figure.suptitle("Training against validation")


def _line(position: int, epochs: int) -> dict[str, Any]:
    """The look of a variant's line; hollow markers tell the ninth from the first."""
    step = math.ceil(epochs / 6)
    look: dict[str, Any] = dict(figures.LINES[position % len(figures.LINES)])
    if position // len(figures.LINES) % 2:
        look["markerfacecolor"] = "white"
    # Markers of different variants stand at different epochs, so that none hides another.
    return {**look, "markersize": 5, "linewidth": 1.4, "markevery": (position % step, step)}


def _pair(axis: Axes, result: Result, name: str, limits: tuple[float, float]) -> None:
    epochs = result.history["epoch"]
    axis.set_axis_on()
    axis.plot(epochs, result.history[name], **TRAINING)
    axis.plot(epochs, result.history[f"val_{name}"], **VALIDATION)
    axis.set(ylabel=LABELS[name], ylim=limits)
    if name == "accuracy":
        axis.set_title(result.variant)
    _epochs(axis)


def _range(results: list[Result], name: str) -> tuple[float, float]:
    """Limits that hold the curves of all variants, so that panels can be compared."""
    values = [result.history[column] for result in results for column in (name, f"val_{name}")]
    low, high = np.nanmin(np.concatenate(values)), np.nanmax(np.concatenate(values))
    margin = 0.05 * max(high - low, 0.01)
    return low - margin, high + margin


def _epochs(axis: Axes) -> None:
    axis.set_xlabel("epoch")
    axis.set_xlim(left=0)
    # Whole epochs, however few.
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
