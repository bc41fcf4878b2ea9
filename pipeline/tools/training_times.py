"""Draw accuracy against training time, after DVC: `python -m pipeline.tools.training_times`."""

import colorsys
import json
import sys
from pathlib import Path

import pandas as pd

from pipeline import plotting
from pipeline.comparison import results
from pipeline.comparison.compare import PUBLISHED, REPORTS
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params

MEASURED_NOTEBOOK = REPORTS / "bench/notebook.json"
FIGURE = REPORTS / "time_to_accuracy.png"
NOTEBOOK = "notebook"
NOTEBOOK_EPOCHS = 30  # of each of the study's trainings
MARKERS = "os^DvPX*<p>hd8H"  # filled ones that differ in grey
TICKS = {15: "15 s", 30: "30 s", 3600: "1 h"} | {60 * n: f"{n} min" for n in (1, 2, 5, 10, 20)}


def pipeline_times() -> pd.DataFrame:
    """The compared variants whose trainings were timed: columns as `draw_accuracy` has them.

    Variants that differ in their seed alone have their mean accuracy, at the time of the first.
    """
    table = pd.read_csv(REPORTS / "comparison.csv")
    times = [results.read_result(variant).time for variant in table["variant"]]
    rows = table[["variant", "accuracy"]].assign(trained="pipeline")
    rows[["seconds", "machine"]] = [time or (None, None) for time in times]
    return rows.dropna()


def notebook_times() -> pd.DataFrame:
    """The same of the study's notebook."""
    measured = json.loads(MEASURED_NOTEBOOK.read_text(encoding="utf-8"))
    rows = pd.read_csv(PUBLISHED, index_col="variant")[["accuracy"]].assign(trained=NOTEBOOK)
    rows["seconds"] = NOTEBOOK_EPOCHS * pd.Series(measured["seconds"])
    rows["machine"] = ", ".join(measured["measured"].split(", ")[1:-1])  # between date and commit
    return rows.dropna().reset_index()


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
    """Draw the compared variants, those of CIFAR-10 beside the notebook."""
    try:
        tables = [pipeline_times()]
        if lookup(read_params(), "dataset.kind") == "cifar10":
            tables.append(notebook_times())
    except (OSError, ValueError, LookupError) as error:
        raise PipelineError(
            f"expected tables in {REPORTS}/comparison.csv and {MEASURED_NOTEBOOK}, found "
            f"{error!r}; restore what git has, or run `make repro` and `make bench`"
        ) from error
    draw_accuracy(FIGURE, pd.concat(tables))


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"training_times: {error}")
