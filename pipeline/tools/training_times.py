"""Training times and accuracy against them: `python -m pipeline.tools.training_times`.

Run after DVC. Reads the comparison, the records of the last runs and, for CIFAR-10, what
`make bench` measured of the notebook. Writes reports/training_times.csv and
reports/time_to_accuracy.png.
"""

import colorsys
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import plotting
from pipeline.comparison import results
from pipeline.comparison.compare import PUBLISHED, REPORTS
from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.page import training_times
from pipeline.page.training_times import NOTEBOOK, PIPELINE
from pipeline.tools import environment

MEASURED_NOTEBOOK = REPORTS / "bench/notebook.json"
FIGURE = REPORTS / "time_to_accuracy.png"
NOTEBOOK_EPOCHS = 30  # of each of the study's trainings
MARKERS = "os^DvPX*<p>hd8H"  # filled ones that differ in grey
TICKS = {15: "15 s", 30: "30 s", 3600: "1 h"} | {60 * n: f"{n} min" for n in (1, 2, 5, 10, 20)}


def pipeline_rows(variants: Iterable[str]) -> list[tuple[Any, ...]]:
    """The rows of training_times.csv for `variants`; a training keeps the time first measured."""
    table, rows = training_times.read_training_times(), []
    for variant in variants:
        if row := training_times.training_time(table, variant):
            seconds, machine = row.seconds, row.machine
        else:
            run = json.loads(environment.path(f"train@{variant}").read_text(encoding="utf-8"))
            seconds, machine = run["seconds"], f"{run['cores']} cores of {run['processor']}"
        digest = training_times.history_digest(variant)
        rows.append((PIPELINE, variant, digest, float(seconds), machine))
    return rows


def notebook_rows() -> list[tuple[Any, ...]]:
    """The rows of training_times.csv for the study's notebook."""
    measured = json.loads(MEASURED_NOTEBOOK.read_text(encoding="utf-8"))
    machine = ", ".join(measured["measured"].split(", ")[1:-1])  # between date and commit
    return [
        (NOTEBOOK, variant, "", round(NOTEBOOK_EPOCHS * seconds, 1), machine)
        for variant, seconds in measured["seconds"].items()
    ]


def draw_accuracy(path: Path, table: pd.DataFrame) -> None:
    """The points of `table` (trained, variant, seconds, accuracy, machine) as the PNG `path`.

    Each variant has a colour and a marker of its own; the notebook's are hollow.
    """
    variants = list(dict.fromkeys(table["variant"]))
    with plotting.figure(path, figsize=(10, 6), dpi=150) as (_, axis):
        for row in table.itertuples():
            number, name = variants.index(row.variant), row.variant
            color = fill = colorsys.hsv_to_rgb(number / len(variants), 0.9, 0.75)
            if row.trained == NOTEBOOK:
                name, fill = f"{name}, notebook", (1, 1, 1)
            style = {"marker": MARKERS[number % len(MARKERS)], "markersize": 9, "color": color}
            axis.plot(row.seconds, row.accuracy, markerfacecolor=fill, **style)
            offset = {"xytext": (9, 0), "textcoords": "offset points"}
            axis.annotate(name, (row.seconds, row.accuracy), va="center_baseline", **offset)
        axis.set_xscale("log")
        limits = axis.get_xlim()
        axis.set_xticks(list(TICKS), list(TICKS.values()))
        axis.set_xlim(limits)
        axis.minorticks_off()
        machines = " and ".join(dict.fromkeys(table["machine"]))
        axis.set_xlabel(f"training time on {machines} (of the notebook, its epochs alone)")
        axis.set_ylabel("test accuracy")
        axis.set_title("Test accuracy against training time")


def main() -> None:
    """Write the table and the figure of the compared variants.

    Variants that differ in their seed alone have their mean accuracy, at the time of the first.
    """
    try:
        comparison = pd.read_csv(REPORTS / "comparison.csv", index_col="variant")["accuracy"]
        accuracies, rows = {PIPELINE: comparison}, pipeline_rows(comparison.index)
        if lookup(read_params(), "dataset.kind") == "cifar10":
            accuracies[NOTEBOOK] = results.read_published(PUBLISHED)["accuracy"]
            rows += notebook_rows()
        times = pd.DataFrame(rows, columns=list(training_times.COLUMNS))
        accuracy = [accuracies[trained][variant] for trained, variant, *_ in rows]
    except (OSError, ValueError, LookupError) as error:
        raise PipelineError(
            f"expected {REPORTS}/comparison.csv, training histories, {environment.RUNS} and "
            f"{MEASURED_NOTEBOOK}, found {type(error).__name__} {error}; restore what git has, run "
            "`make repro`, `make bench` for the last"
        ) from error
    draw_accuracy(FIGURE, times.assign(accuracy=accuracy))
    files.write_text(training_times.PATH, times.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"training_times: {error}")
