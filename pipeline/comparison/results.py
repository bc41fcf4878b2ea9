"""The results of train and evaluate under reports/variants, and the study's published figures."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.errors import PipelineError
from pipeline.report import history, metrics, places, right
from pipeline.report.metrics import Metrics

# The first columns of classes.csv; one per predicted class follows, with counts of test images.
SCORES = ("class", "precision", "recall", "f1", "support")
# The columns of reliability.csv: a row per confidence bin, with the bin's upper edge, its number of
# test images, their mean confidence and their accuracy.
RELIABILITY = ("up_to", "images", "confidence", "accuracy")
# The columns of published.csv beside the variant.
PUBLISHED = (
    *("accuracy", "loss", "train_accuracy", "train_loss"),
    *("best_val_accuracy", "best_val_epoch", "seconds_per_epoch"),
)
MATRIX_CLASSES = 20  # a confusion matrix of more classes is illegible
PAIRS = 15  # number of most confused pairs that the page lists instead


@dataclass(frozen=True)
class Result:
    """One trained and evaluated variant.

    `classes` are the K class names, `confusion` the counts int64 (K, K) with true classes as rows,
    `correct` whether each of the N test images is classified correctly, bool (N,). `history` has a
    row per epoch, `reliability` a row per confidence bin (columns RELIABILITY).
    """

    variant: str
    classes: tuple[str, ...]
    metrics: Metrics
    history: pd.DataFrame
    confusion: np.ndarray
    correct: np.ndarray
    reliability: pd.DataFrame

    @property
    def test_images(self) -> int:
        """Number of test images."""
        return int(self.confusion.sum())

    @property
    def validated(self) -> bool:
        """Whether a validation set was held out."""
        return bool(self.history["val_accuracy"].notna().all())


def read_result(variant: str) -> Result:
    """The result of `variant`; PipelineError when a file is missing or malformed."""
    evaluate, train = f"run `dvc repro evaluate@{variant}`", f"run `dvc repro train@{variant}`"
    classes, confusion = _read_confusion(places.classes(variant), evaluate)
    return Result(
        variant=variant,
        classes=classes,
        metrics=metrics.read(variant),
        history=_read_numbers(places.history(variant), history.COLUMNS, train),
        confusion=confusion,
        correct=right.read(places.right(variant), int(confusion.sum()), evaluate),
        reliability=_read_numbers(places.reliability(variant), RELIABILITY, evaluate),
    )


def read_results(variants: Iterable[str]) -> list[Result]:
    """The results of `variants`, at least one.

    Raises PipelineError also when two of them differ in the classes or the test images of a class.
    """
    first, *others = results = list(map(read_result, variants))
    for other in others:
        same_counts = np.array_equal(first.confusion.sum(axis=1), other.confusion.sum(axis=1))
        if other.classes != first.classes or not same_counts:
            raise PipelineError(
                f"{places.classes(other.variant)}: expected the classes and test images of "
                f"{places.classes(first.variant)}, found others; run `dvc repro "
                f"evaluate@{first.variant} evaluate@{other.variant}`"
            )
    return results


def read_published(path: Path) -> pd.DataFrame:
    """The study's figures with the variant as index; PipelineError when missing or malformed."""
    return _read_numbers(path, PUBLISHED, "restore it with `git checkout`", index_col="variant")


def top_confusions(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """True class, predicted class and number of images of the `count` most frequent mistakes.

    `confusion` is (K, K), rows the true classes; ties keep the order of the classes.
    """
    mistakes = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = np.column_stack(np.unravel_index(order, mistakes.shape)).tolist()
    return [(i, j, int(mistakes[i, j])) for i, j in pairs if mistakes[i, j]]


@contextmanager
def _malformed(path: Path, remedy: str) -> Iterator[None]:
    """Turns a missing file and any ValueError, as of pandas' parser, into a PipelineError."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise PipelineError(f"{path}: missing or malformed: {reason}; {remedy}") from error


def _read_numbers(path: Path, columns: Sequence[str], remedy: str, **options: Any) -> pd.DataFrame:
    """A CSV of just these columns with finite numbers; a whole column may be blank."""
    with _malformed(path, remedy):
        table: pd.DataFrame = pd.read_csv(path, **options)
        numbers = table.dropna(axis="columns", how="all").to_numpy(np.float64)
        if list(table) != list(columns) or table.empty or not np.isfinite(numbers).all():
            raise ValueError(f"expected rows of finite numbers under {', '.join(columns)}")
        return table


def _read_confusion(path: Path, remedy: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The class names and the confusion counts, by position: a class may be named `class`."""
    with _malformed(path, remedy):
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
        header, rows, width = tuple(cells.iloc[0]), cells.iloc[1:], len(SCORES)
        classes = header[width:]
        if header[:width] != SCORES or tuple(rows[0]) != classes:
            raise ValueError("expected a row and a column for each class, in one order")
        counts = rows.iloc[:, width:].to_numpy().astype(np.int64)
        if (counts < 0).any() or not counts.any():
            raise ValueError("expected numbers of test images")
        return classes, counts
