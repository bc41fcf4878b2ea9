"""Draw accuracy against training time, after DVC: `python -m pipeline.tools.training_times`."""

import json
from pathlib import Path

import pandas as pd

from pipeline import plotting
from pipeline.comparison import results
from pipeline.comparison.compare import PUBLISHED, REPORTS
from pipeline.core.params import lookup, read_params

MEASURED_NOTEBOOK = REPORTS / "bench/notebook.json"
FIGURE = REPORTS / "time_to_accuracy.png"
NOTEBOOK = "notebook"
NOTEBOOK_EPOCHS = 30  # of each of the study's trainings


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
    """The points of `table` (trained, variant, seconds, accuracy, machine) as the PNG `path`."""
    with plotting.figure(path, figsize=(10, 6), dpi=150) as (_, axis):
        for trained, rows in table.groupby("trained"):
            fill = "none" if trained == NOTEBOOK else "full"
            axis.semilogx(
                rows["seconds"] / 60, rows["accuracy"], "o", fillstyle=fill, label=trained
            )
        for row in table.itertuples():
            axis.annotate(
                row.variant,
                (row.seconds / 60, row.accuracy),
                xytext=(9, 0),
                textcoords="offset points",
                va="center_baseline",
            )
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.legend()
        machines = " and ".join(dict.fromkeys(table["machine"]))
        axis.set_xlabel(f"minutes of training on {machines} (of the notebook, its epochs alone)")
        axis.set_ylabel("test accuracy")
        axis.set_title("Test accuracy against training time")


def main() -> None:
    """Draw the compared variants, those of CIFAR-10 beside the notebook."""
    tables = [pipeline_times()]
    if lookup(read_params(), "dataset.kind") == "cifar10":
        tables.append(notebook_times())
    draw_accuracy(FIGURE, pd.concat(tables))


if __name__ == "__main__":
    main()
