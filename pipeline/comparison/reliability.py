"""Whether the variants' probabilities mean what they say."""

from pathlib import Path
from typing import Any

from pipeline.comparison.results import Result
from pipeline.report import figures
from pipeline.report.figures import Axes

IDEAL: dict[str, Any] = {"label": "as sure as right", "color": "#999999", "linestyle": "--"}
BINS: dict[str, Any] = {"label": "test images", "color": "#0072B2", "linestyle": "-"}
LARGEST = 140  # points² of the mark for all test images


def draw(path: Path, results: list[Result]) -> None:
    """A panel for each variant: accuracy against confidence, marks as large as images are many."""
    columns, rows = figures.grid(len(results))
    with figures.drawing(
        path,
        nrows=rows,
        ncols=columns,
        figsize=(max(4.5, 2.7 * columns), 2.9 * rows + 1),
        sharex=True,
        sharey=True,
        squeeze=False,
        dpi=figures.DPI,
    ) as (figure, axes):
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, result in zip(axes.flat, results, strict=False):
            _panel(axis, result)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figures.spread(figure)
        figure.suptitle("How often the first class is right, by the probability that it is given")


def _panel(axis: Axes, result: Result) -> None:
    bins = result.reliability
    axis.set_axis_on()
    axis.plot([0, 1], [0, 1], **IDEAL)
    axis.plot(bins["confidence"], bins["accuracy"], **BINS)
    sizes = LARGEST * bins["images"] / bins["images"].sum()
    axis.scatter(bins["confidence"], bins["accuracy"], s=sizes, color=BINS["color"])
    error = result.metrics.model_dump()["calibration_error"]
    axis.set_title(f"{result.variant}: error {error:.3f}", fontsize=10)
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence", ylabel="accuracy")
    axis.tick_params(labelbottom=True, labelleft=True)
