"""How long trainings took, as reports/training_times.csv holds it.

A training's time is no function of parameters, code and data, so no stage writes this file:
pipeline/tools/time_to_accuracy.py does, after DVC. A time stays as first measured as long as the
training's history has the same bytes, so that the page of results, which shows it, is the same
wherever a commit is reproduced.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.base.errors import PipelineError
from pipeline.report import places

PATH = Path("reports/training_times.csv")
COLUMNS = ("trained", "variant", "history", "seconds", "machine")
PIPELINE, NOTEBOOK = "pipeline", "notebook"  # who trained it


@dataclass(frozen=True)
class Time:
    """How long a training took, on which machine."""

    seconds: float
    machine: str


def read(folder: Path = Path()) -> pd.DataFrame:
    """A row per training; PipelineError when the file is missing or malformed."""
    try:
        table = pd.read_csv(folder / PATH, dtype={"history": str}, keep_default_na=False)
        found = ",".join(table.columns)
        if table["seconds"].astype(float).ge(0).all() and tuple(table.columns) == COLUMNS:
            return table
    except OSError as error:
        found = str(error.strerror)
    except (ValueError, LookupError) as error:
        found = " ".join(str(error).split())
    raise PipelineError(
        f"{PATH}: expected rows of {', '.join(COLUMNS)}, found {found}; "
        f"take the committed one, `git checkout HEAD -- {PATH}`"
    )


def history_digest(variant: str, folder: Path = Path()) -> str:
    """The MD5 of the history of `variant`, which tells trainings apart as dvc.lock does."""
    content = (folder / places.history(variant)).read_bytes()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def of(table: pd.DataFrame, variant: str) -> Time | None:
    """The time in `table` of the training of `variant` that is here; None when it has none."""
    found = table[
        (table["trained"] == PIPELINE)
        & (table["variant"] == variant)
        & (table["history"] == history_digest(variant))
    ]
    if found.empty:
        return None
    row = found.iloc[0]
    return Time(float(row["seconds"]), str(row["machine"]))
