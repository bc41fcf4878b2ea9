"""CSV files that other stages wrote, read and refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.errors import PipelineError


def named(path: Path, columns: Sequence[str], remedy: str) -> pd.DataFrame:
    """The CSV at `path` with just these `columns` and at least one row.

    Raises PipelineError that ends in `remedy` when the file is missing or malformed.
    """
    table = _read(path, columns, remedy)
    if tuple(table.columns) != tuple(columns) or table.empty:
        found = f"{len(table)} rows of {', '.join(map(str, table.columns))}"
        raise malformed(path, f"rows of {', '.join(columns)}", found, remedy)
    return table


def text(path: Path, columns: Sequence[str], remedy: str) -> tuple[tuple[str, ...], pd.DataFrame]:
    """The head of the CSV at `path` and its rows, all as text, the columns by their number.

    Two columns may have one name, and a cell may say "nan". Raises PipelineError that ends in
    `remedy` when the file is missing, or its first columns are not these.
    """
    table = _read(path, columns, remedy, header=None, dtype=str, keep_default_na=False)
    head = tuple(map(str, table.iloc[0]))
    if head[: len(columns)] != tuple(columns) or len(table) == 1:
        found = f"{len(table) - 1} rows of {', '.join(head)}"
        raise malformed(path, f"rows of {', '.join(columns)} and more", found, remedy)
    return head, table.iloc[1:].reset_index(drop=True)


def numbers(table: pd.DataFrame) -> np.ndarray:
    """The cells as float64, NaN where there is no finite number."""
    found = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def refuse(path: Path, table: pd.DataFrame, bad: np.ndarray, expected: str, remedy: str) -> None:
    """Raise PipelineError with the first row of `table` where `bad`, bool (N,), is true."""
    if bad.any():
        row = int(bad.argmax())
        found = f"row {row + 1}: {','.join(map(str, table.iloc[row]))}"
        raise malformed(path, expected, found, remedy)


def malformed(path: Path, expected: str, found: object, remedy: str) -> PipelineError:
    """The error for a file that is not as `expected`, on one line."""
    line = " ".join(str(found).split())
    return PipelineError(f"{path}: expected {expected}, found {line}; {remedy}")


def _read(path: Path, columns: Sequence[str], remedy: str, **how: Any) -> pd.DataFrame:
    try:
        found: pd.DataFrame = pd.read_csv(path, **how)
    except OSError as error:
        raise malformed(path, "a readable file", error.strerror, remedy) from error
    except ValueError as error:  # pandas' own errors and those of decoding are of this kind
        raise malformed(path, f"a CSV of {', '.join(columns)}", error, remedy) from error
    return found
