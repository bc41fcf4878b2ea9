"""Reading what train and evaluate wrote about a variant, and what the study published."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.comparison import csv_tables
from pipeline.report import metrics, places, right
from pipeline.report.history import COLUMNS as HISTORY
from pipeline.report.metrics import Metrics

# Then a column for each class: how many of the row's test images are called so.
PER_CLASS = ("class", "precision", "recall", "f1", "support")
# A row for each bin of confidence: its upper edge, its test images, their means.
RELIABILITY = ("up_to", "images", "confidence", "accuracy")
MATRIX_CLASSES = 20  # a confusion matrix of more cannot be read
PAIRS = 15  # of classes, the most confused ones, that are told instead
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
    """What came of one variant: the names of its K classes, its test metrics, its history (columns
    HISTORY), its confusion counts int64 (K, K), whether it has each test image right, bool (N,),
    and how often by how sure it is (columns RELIABILITY)."""

    variant: str
    classes: tuple[str, ...]
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
    classes, confusion = _confusion(places.classes(variant), evaluate)
    return Result(
        variant=variant,
        classes=classes,
        metrics=metrics.read(variant),
        history=_history(places.history(variant), train),
        confusion=confusion,
        right=right.read(places.right(variant), int(confusion.sum()), evaluate),
        reliability=_reliability(places.reliability(variant), evaluate),
    )


def read_all(variants: Iterable[str]) -> list[Result]:
    """The results of `variants`, at least one.

    Raises PipelineError also when two of them were measured on other classes or test images.
    """
    first, *others = found = list(map(read, variants))
    for other in others:
        _expect_alike(first, other)
    return found


def confused(confusion: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """True class, predicted class and count of the most frequent mistakes, at most so many.

    From counts (K, K), rows the true classes; equal ones in the order of the classes.
    """
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = np.column_stack(np.unravel_index(order, wrong.shape)).tolist()
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def read_published(path: Path) -> pd.DataFrame:
    """The study's figures with the variant as index and the other columns of PUBLISHED, float64.

    Raises PipelineError when the file is missing or malformed.
    """
    remedy = "restore it with `git checkout`"
    table = csv_tables.named(path, PUBLISHED, remedy)
    names, figures = table["variant"], csv_tables.numbers(table[list(PUBLISHED[1:])])
    bad = names.duplicated().to_numpy() | np.isnan(figures).any(axis=1)
    csv_tables.refuse(path, table, bad, "one row of finite numbers per variant", remedy)
    return pd.DataFrame(figures, index=pd.Index(names), columns=list(PUBLISHED[1:]))


def _history(path: Path, remedy: str) -> pd.DataFrame:
    table = csv_tables.named(path, HISTORY, remedy)
    numbers = csv_tables.numbers(table)
    if table[["val_accuracy", "val_loss"]].isna().all(axis=None):  # no image was held out
        numbers = numbers[:, :3]
    bad = np.isnan(numbers).any(axis=1) | (numbers[:, 0] != np.arange(1, len(table) + 1))
    csv_tables.refuse(path, table, bad, "finite numbers for epochs 1, 2, 3, ...", remedy)
    return table


def _confusion(path: Path, remedy: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes and the counts. By position: a class may be called as one of PER_CLASS is."""
    head, table = csv_tables.text(path, PER_CLASS, remedy)
    classes = head[len(PER_CLASS) :]
    if tuple(table[0]) != classes or len(set(classes)) < len(classes):
        rows = f"rows {', '.join(table[0])} and columns {', '.join(classes)}"
        expected = "a row and a column for each class, in one order"
        raise csv_tables.malformed(path, expected, rows, remedy)
    counts = csv_tables.numbers(table.iloc[:, len(PER_CLASS) :])
    bad = np.isnan(counts).any(axis=1) | (counts < 0).any(axis=1) | (counts % 1 > 0).any(axis=1)
    bad |= counts.sum() == 0
    csv_tables.refuse(path, table, bad, "counts of images, not all 0", remedy)
    return classes, counts.astype(np.int64)


def _expect_alike(one: Result, other: Result) -> None:
    """Raise PipelineError unless both were measured on the same classes, as many images of each."""
    expected, found = _measured_on(one), _measured_on(other)
    for known, different in zip(expected, found, strict=False):
        if known != different:
            raise csv_tables.malformed(
                places.classes(other.variant),
                f"{known} as in {places.classes(one.variant)}",
                different,
                f"run `dvc repro evaluate@{one.variant} evaluate@{other.variant}`",
            )


def _measured_on(result: Result) -> list[str]:
    images = result.confusion.sum(axis=1)
    return [
        f"{len(result.classes)} classes",
        *(f"class {k}: {name}" for k, name in enumerate(result.classes, 1)),
        *(f"{n} test images of {name}" for n, name in zip(images, result.classes, strict=True)),
    ]


def _reliability(path: Path, remedy: str) -> pd.DataFrame:
    table = csv_tables.named(path, RELIABILITY, remedy)
    figures = csv_tables.numbers(table)
    shares = figures[:, [0, 2, 3]]
    bad = np.isnan(figures).any(axis=1) | (shares < 0).any(axis=1) | (shares > 1).any(axis=1)
    bad |= figures[:, 1] < 1
    csv_tables.refuse(path, table, bad, "bins of images with shares from 0 to 1", remedy)
    return table
