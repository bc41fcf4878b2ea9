"""The table reports/training_times.csv: how long each training took, and on which machine.

No output of a stage, as a duration is no function of parameters, code and data. The page, which
shows it, is reproducible: a training keeps the time first measured as long as its history has the
same bytes.
"""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import paths
from pipeline.core.errors import PipelineError

PATH = Path("reports/training_times.csv")
COLUMNS = ("trained", "variant", "history", "seconds", "machine")
HEADER = ",".join(COLUMNS)
PIPELINE, NOTEBOOK = "pipeline", "notebook"  # values of `trained`


def read_training_times(folder: Path = Path()) -> pd.DataFrame:
    """A row per training; PipelineError when the file is missing or malformed."""
    try:
        table = pd.read_csv(folder / PATH, dtype={"history": str}, keep_default_na=False)
        if tuple(table) != COLUMNS or not table["seconds"].astype(float).ge(0).all():
            raise ValueError(f"columns {', '.join(table)}, or negative times")
        return table
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"{PATH}: expected rows of {HEADER}, found {error}; take the committed file, "
            f"`git checkout HEAD -- {PATH}`"
        ) from error


def history_digest(variant: str, folder: Path = Path()) -> str:
    """MD5 of the training history of `variant`, as dvc.lock records it."""
    content = (folder / paths.history(variant)).read_bytes()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def training_time(table: pd.DataFrame, variant: str) -> Any:
    """The row of `table` of the present training of `variant`; None where it has none."""
    present = (table["variant"] == variant) & (table["history"] == history_digest(variant))
    return next(table[present].itertuples(), None)
