"""Training times and accuracy against them: `python -m pipeline.tools.training_times`.

No stage of DVC, as a duration is no function of parameters, code and data. Reads the comparison,
the records of the last runs and, for CIFAR-10, what `make bench` measured of the notebook. Writes
reports/training_times.csv and reports/time_to_accuracy.png.
"""

import colorsys
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.comparison.compare import PUBLISHED, REPORTS
from pipeline.page import training_times
from pipeline.page.training_times import NOTEBOOK, PIPELINE
from pipeline.report import figures
from pipeline.tools import environment

MEASURED_NOTEBOOK = REPORTS / "bench/notebook.json"
FIGURE = REPORTS / "time_to_accuracy.png"
NOTEBOOK_EPOCHS = 30  # of each of the study's trainings
MARKERS = "os^DvPX*"
TICKS = {10: "10 s", 30: "30 s", 60: "1 min", 120: "2 min", 300: "5 min", 900: "15 min"}


def pipeline_rows(variants: Iterable[str]) -> list[tuple[Any, ...]]:
    """The rows of training_times.csv for `variants`; a training keeps the time first measured.

    Raises PipelineError when a new training has no recorded run.
    """
    known = training_times.PATH.exists()
    table = training_times.read_training_times() if known else None
    rows = []
    for variant in variants:
        digest = training_times.history_digest(variant)
        row = table is not None and training_times.training_time(table, variant)
        seconds, machine = (row.seconds, row.machine) if row else recorded_time(variant)
        rows.append((PIPELINE, variant, digest, seconds, machine))
    return rows


def recorded_time(variant: str) -> tuple[float, str]:
    """Seconds and machine of the last training of `variant`."""
    stage = f"train@{variant}"
    if run := environment.recorded(stage):
        return float(run["seconds"]), f"{run.get('cores')} cores of {run.get('processor')}"
    path = environment.path(stage)
    raise PipelineError(
        f"{path}: expected the record of {stage}, found none; take the committed one, `git "
        f"checkout HEAD -- {path}`, or run `dvc repro --force --single-item {stage}`"
    )


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

    A colour per variant; the notebook's markers are hollow.
    """
    variants = list(dict.fromkeys(table["variant"]))
    with figures.drawing(path, figsize=(10, 6), dpi=150) as (figure, axis):
        for row in table.itertuples():
            number = variants.index(row.variant)
            color = colorsys.hsv_to_rgb(number / len(variants), 0.9, 0.75)
            axis.plot(
                [row.seconds],
                [row.accuracy],
                linestyle="",
                marker=MARKERS[number % len(MARKERS)],
                markersize=9,
                color=color,
                markerfacecolor="white" if row.trained == NOTEBOOK else color,
                label=row.variant if row.trained == PIPELINE else f"{row.variant}, notebook",
            )
        axis.set_xscale("log")
        axis.set_xticks(list(TICKS), list(TICKS.values()))
        axis.minorticks_off()
        machines = " and ".join(dict.fromkeys(table["machine"]))
        axis.set_xlabel(f"training time on {machines} (of the notebook, its epochs alone)")
        axis.set_ylabel("test accuracy")
        axis.set_title("Test accuracy against training time")
        figure.legend(loc="outside right upper")


def main() -> None:
    """Write the table and the figure of the compared variants.

    Variants that differ in their seed alone have their mean accuracy, at the time of the first.
    """
    is_cifar10 = params_file.at(params_file.read(), "dataset.kind") == "cifar10"
    try:
        comparison = pd.read_csv(REPORTS / "comparison.csv").set_index("variant")["accuracy"]
        accuracies = {PIPELINE: comparison}
        rows = pipeline_rows(comparison.index)
        if is_cifar10:
            accuracies[NOTEBOOK] = results.read_published(PUBLISHED)["accuracy"]
            rows += notebook_rows()
        times = pd.DataFrame(rows, columns=list(training_times.COLUMNS))
        keys = zip(times["trained"], times["variant"], strict=True)
        table = times.assign(accuracy=[accuracies[trained][variant] for trained, variant in keys])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"expected {REPORTS}/comparison.csv, training histories and {MEASURED_NOTEBOOK}, found "
            f"{type(error).__name__} {error}; run `make repro`, `make bench` for the last"
        ) from error
    draw_accuracy(FIGURE, table)
    files.write_text(training_times.PATH, times.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"training_times: {error}")
