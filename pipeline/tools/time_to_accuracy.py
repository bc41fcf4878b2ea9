"""Accuracy against time, with the notebook: `python -m pipeline.tools.time_to_accuracy`.

No stage of DVC: how long a training took is no function of parameters, code and data. It reads
reports/comparison.csv, the recorded runs, the histories and, as the notebook's figures are of
CIFAR-10, there alone what `make bench` measured of it. It writes reports/training_times.csv and
reports/time_to_accuracy.png and .csv.
"""

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.comparison.compare import PUBLISHED, REPORTS
from pipeline.page import times
from pipeline.report import figures
from pipeline.tools import environment

NOTEBOOK = REPORTS / "bench" / "notebook.json"
COLUMNS = ["trained", "variant", "epoch", "seconds", "accuracy", "measured_on"]
EPOCHS = 30  # of each of the study's trainings
# Only the end of a way is marked; hollow marks tell the ninth variant from the first.
OURS: list[dict[str, Any]] = [
    {**look, "markersize": 9, "markevery": [-1], "markerfacecolor": face or look["color"]}
    for face in (None, "white")
    for look in figures.LINES
]
NOTEBOOKS: list[dict[str, Any]] = [
    {
        "color": "#666666",
        "linestyle": ":",
        "marker": marker,
        "markersize": 9,
        "markevery": [-1],
        "markerfacecolor": "white",
    }
    for marker in ("<", ">", "p", "h")
]


def ours(variant: str, accuracy: float, seconds: float, history: pd.DataFrame) -> pd.DataFrame:
    """The way of a variant to its test `accuracy` after `seconds` of its whole training stage.

    On the way there is the validation accuracy, where images were held out; epochs are taken to
    be of equal length.
    """
    shown = history.dropna()
    epochs = len(history)
    way = pd.DataFrame({"epoch": shown["epoch"], "accuracy": shown["val_accuracy"]})
    way["measured_on"] = "validation"
    end = pd.DataFrame([{"epoch": epochs, "accuracy": accuracy, "measured_on": "test"}])
    table = pd.concat([way, end], ignore_index=True)
    table["seconds"] = seconds * table["epoch"] / epochs
    return table.assign(trained="pipeline", variant=variant)[COLUMNS]


def notebook(published: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
    """What the study published, at the time that it takes; `seconds` are those of an epoch.

    Of each training the best epoch and the last are known, both on the test set, which the study
    also validated on.
    """
    rows = []
    for name, row in published.iterrows():
        for epoch, accuracy in (
            (int(row["best_val_epoch"]), row["best_val_accuracy"]),
            (EPOCHS, row["accuracy"]),
        ):
            spent = epoch * seconds[str(name)]
            rows.append(("notebook", str(name), epoch, spent, accuracy, "test"))
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(path: Path, table: pd.DataFrame, machine: str) -> None:
    """The ways of all variants as the PNG `path`, time on `machine` on a logarithmic axis."""
    with figures.drawing(path, figsize=(10, 6), dpi=150) as (figure, axis):
        for trained, looks in (("pipeline", OURS), ("notebook", NOTEBOOKS)):
            ways = table[table["trained"] == trained].groupby("variant", sort=False)
            for (name, way), look in zip(ways, itertools.cycle(looks), strict=False):
                label = str(name) if trained == "pipeline" else f"{name}, notebook"
                axis.plot("seconds", "accuracy", data=way, label=label, linewidth=1.2, **look)
        axis.set_xscale("log")
        axis.set_xticks([10, 30, 60, 120, 300, 900, 1800])
        axis.set_xticklabels(["10 s", "30 s", "1 min", "2 min", "5 min", "15 min", "30 min"])
        axis.minorticks_off()
        time = f"training time on {machine}, start-up included"
        title = (
            "Test accuracy (marks) against training time; on the way, lines: validation accuracy"
        )
        if (table["trained"] == times.NOTEBOOK).any():
            time += " (the notebook's without)"
            title += ",\nof the notebook: from its best epoch to its last"
        axis.set_xlabel(time)
        axis.set_ylabel("accuracy")
        axis.set_title(title)
        figure.legend(loc="outside right upper")


def measured(variants: Sequence[str], *, beside_notebook: bool) -> pd.DataFrame:
    """The times of reports/training_times.csv, with those of `variants` that it lacks or has of
    another training; those `beside_notebook` are the ones that `make bench` measured.

    Raises PipelineError when a file is missing or damaged, or a training has no recorded run.
    """
    known = times.read() if times.PATH.exists() else pd.DataFrame(columns=list(times.COLUMNS))
    rows = []
    for variant in variants:
        time = times.of(known, variant) or _recorded(variant)
        digest = times.history_digest(variant)
        rows.append((times.PIPELINE, variant, digest, time.seconds, time.machine))
    if beside_notebook:
        found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
        machine = ", ".join(found["measured"].split(", ")[1:-1])  # between the day and the commit
        for variant, seconds in found["seconds"].items():
            rows.append((times.NOTEBOOK, variant, "", round(EPOCHS * seconds, 1), machine))
    return pd.DataFrame(rows, columns=list(times.COLUMNS))


def _recorded(variant: str) -> times.Time:
    if run := environment.recorded(f"train@{variant}"):
        machine = f"{run.get('cores')} cores of {run.get('processor')}"
        return times.Time(float(run["seconds"]), machine)
    path = environment.path(f"train@{variant}")
    raise PipelineError(
        f"{path}: expected how long train@{variant} took, found no such record; take the committed "
        f"one, `git checkout HEAD -- {path}`, or run `dvc repro --force --single-item "
        f"train@{variant}`"
    )


def main() -> None:
    """Write the figure and its table for the committed variants.

    A variant of several seeds has their mean accuracy, at the time of the first.
    """
    beside_notebook = params_file.at(params_file.read(), "dataset.kind") == "cifar10"
    try:
        comparison = pd.read_csv(REPORTS / "comparison.csv").set_index("variant")
        histories = {str(name): results.read_result(str(name)).history for name in comparison.index}
        known = measured(list(histories), beside_notebook=beside_notebook)
        seconds = known.set_index(["trained", "variant"])["seconds"]
        ways = []
        if beside_notebook:
            published = results.read_published(PUBLISHED)
            ways.append(notebook(published, seconds[times.NOTEBOOK] / EPOCHS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"expected {REPORTS}/comparison.csv and {NOTEBOOK}, found {error}; run `make repro`, "
            "and `make bench` for the second"
        ) from error
    for name, row in comparison.iterrows():
        history = histories[str(name)]
        ways.append(ours(str(name), row["accuracy"], float(seconds[times.PIPELINE, name]), history))
    table = pd.concat(ways, ignore_index=True)
    draw(REPORTS / "time_to_accuracy.png", table, " and ".join(dict.fromkeys(known["machine"])))
    text = table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
    files.write_text(REPORTS / "time_to_accuracy.csv", text)
    files.write_text(times.PATH, known.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"time_to_accuracy: {error}")
