"""Reading what train and evaluate wrote about a variant, and what the study published."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base.errors import PipelineError
from pipeline.data.cifar10 import CLASSES
from pipeline.report import metrics, places, right
from pipeline.report.history import COLUMNS as HISTORY
from pipeline.report.metrics import Metrics

PER_CLASS = ("class", "precision", "recall", "f1", "support", *CLASSES)
# A row for each bin of confidence: its upper edge, its test images, their means.
RELIABILITY = ("up_to", "images", "confidence", "accuracy")
PUBLISHED = (
    "variant",
    "accuracy",
    "loss",
    "train_accuracy",
    "train_loss",
    "best_val_accuracy",
    "best_val_epoch",
    "seconds_per_epoch",
)


@dataclass(frozen=True)
class Result:
    """What came of one variant: its test metrics, its history (columns HISTORY), its confusion
    counts int64 (10, 10), whether it has each test image right, bool (N,), and how often by how
    sure it is (columns RELIABILITY)."""

    variant: str
    metrics: Metrics
    history: pd.DataFrame
    confusion: np.ndarray
    right: np.ndarray
    reliability: pd.DataFrame

    @property
    def test_images(self) -> int:
        """How many images the metrics were measured on."""
        return int(self.confusion.sum())

    @property
    def validated(self) -> bool:
        """Whether images were held out, so that the history has figures of validation."""
        return bool(self.history["val_accuracy"].notna().all())


def read(variant: str) -> Result:
    """What reports/variants holds of `variant`; PipelineError when a file is missing or wrong."""
    evaluate, train = f"run `dvc repro evaluate@{variant}`", f"run `dvc repro train@{variant}`"
    confusion = _confusion(places.classes(variant), evaluate)
    return Result(
        variant=variant,
        metrics=metrics.read(variant),
        history=_history(places.history(variant), train),
        confusion=confusion,
        right=right.read(places.right(variant), int(confusion.sum()), evaluate),
        reliability=_reliability(places.reliability(variant), evaluate),
    )


def read_published(path: Path) -> pd.DataFrame:
    """The study's figures with the variant as index and the other columns of PUBLISHED, float64.

    Raises PipelineError when the file is missing or malformed.
    """
    remedy = "restore it with `git checkout`"
    table = _table(path, PUBLISHED, remedy)
    names, figures = table["variant"], _numbers(table, PUBLISHED[1:])
    bad = names.duplicated().to_numpy() | np.isnan(figures).any(axis=1)
    _refuse(path, table, bad, "one row of finite numbers per variant", remedy)
    return pd.DataFrame(figures, index=pd.Index(names), columns=list(PUBLISHED[1:]))


def _history(path: Path, remedy: str) -> pd.DataFrame:
    table = _table(path, HISTORY, remedy)
    numbers = _numbers(table, HISTORY)
    if table[["val_accuracy", "val_loss"]].isna().all(axis=None):  # no image was held out
        numbers = numbers[:, :3]
    bad = np.isnan(numbers).any(axis=1) | (numbers[:, 0] != np.arange(1, len(table) + 1))
    _refuse(path, table, bad, "finite numbers for epochs 1, 2, 3, ...", remedy)
    return table


def _confusion(path: Path, remedy: str) -> np.ndarray:
    table = _table(path, PER_CLASS, remedy)
    if tuple(table["class"]) != CLASSES:
        found = ", ".join(map(str, table["class"]))
        raise _malformed(path, f"the rows {', '.join(CLASSES)}", found, remedy)
    counts = _numbers(table, CLASSES)
    bad = np.isnan(counts).any(axis=1) | (counts < 0).any(axis=1) | (counts % 1 > 0).any(axis=1)
    bad |= counts.sum() == 0
    _refuse(path, table, bad, "counts of images, not all 0", remedy)
    return counts.astype(np.int64)


def _reliability(path: Path, remedy: str) -> pd.DataFrame:
    table = _table(path, RELIABILITY, remedy)
    figures = _numbers(table, RELIABILITY)
    shares = figures[:, [0, 2, 3]]
    bad = np.isnan(figures).any(axis=1) | (shares < 0).any(axis=1) | (shares > 1).any(axis=1)
    bad |= figures[:, 1] < 1
    _refuse(path, table, bad, "bins of images with shares from 0 to 1", remedy)
    return table


def _table(path: Path, columns: tuple[str, ...], remedy: str) -> pd.DataFrame:
    """The CSV at `path` with just these columns and at least one row."""
    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise _malformed(path, "a readable file", error.strerror, remedy) from error
    except ValueError as error:  # pandas' own errors and those of decoding are of this kind
        raise _malformed(path, f"a CSV of {', '.join(columns)}", error, remedy) from error
    if tuple(table.columns) != columns or table.empty:
        found = f"{len(table)} rows of {', '.join(map(str, table.columns))}"
        raise _malformed(path, f"rows of {', '.join(columns)}", found, remedy)
    return table


def _numbers(table: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    """The `columns` as float64, NaN where there is no finite number."""
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _refuse(path: Path, table: pd.DataFrame, bad: np.ndarray, expected: str, remedy: str) -> None:
    """Raise PipelineError with the first row of `table` where `bad`, bool (N,), is true."""
    if bad.any():
        row = int(bad.argmax())
        found = f"row {row + 1}: {','.join(map(str, table.iloc[row]))}"
        raise _malformed(path, expected, found, remedy)


def _malformed(path: Path, expected: str, found: object, remedy: str) -> PipelineError:
    line = " ".join(str(found).split())
    return PipelineError(f"{path}: expected {expected}, found {line}; {remedy}")
