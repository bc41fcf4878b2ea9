"""The results of train and evaluate under reports/variants, and the study's published figures."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.evaluation.metrics import Metrics, confusion_matrix, read_metrics
from pipeline.evaluation.tables import CLASS_COLUMNS, PREDICTION_COLUMNS
from pipeline.training import history

MATRIX_CLASSES = 20  # a confusion matrix of more classes is illegible


@dataclass(frozen=True)
class Result:
    """One trained and evaluated variant.

    `classes` are the K class names. `history` has a row per epoch, `predictions` a row per test
    image, in their order: class indices `actual` and `predicted`, int64, and `confidence`.
    """

    variant: str
    classes: tuple[str, ...]
    metrics: Metrics
    history: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def test_images(self) -> int:
        """Number of test images."""
        return len(self.predictions)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts int64 (K, K), rows the true classes, columns the predicted ones."""
        actual, predicted = self.predictions["actual"], self.predictions["predicted"]
        return confusion_matrix(actual.to_numpy(), predicted.to_numpy(), len(self.classes))

    @property
    def correct(self) -> np.ndarray:
        """Whether each test image is classified correctly, bool (N,)."""
        return (self.predictions["actual"] == self.predictions["predicted"]).to_numpy()


def read_result(variant: str) -> Result:
    """The result of `variant`; PipelineError when a file is missing or malformed."""
    evaluate, train = f"run `dvc repro evaluate@{variant}`", f"run `dvc repro train@{variant}`"
    text = dict.fromkeys(("class", "actual", "predicted"), str)  # a name may be "nan" or "1"
    names = {"dtype": {**text, "confidence": float}, "keep_default_na": False}
    with _read_table(paths.classes(variant), CLASS_COLUMNS, evaluate, **names) as table:
        classes = tuple(table["class"])
    path = paths.predictions(variant)
    with _read_table(path, PREDICTION_COLUMNS, evaluate, **names) as predictions:
        labels = {name: label for label, name in enumerate(classes)}
        for column in ("actual", "predicted"):
            predictions[column] = predictions[column].map(labels)  # NaN for an unknown name
        if predictions.isna().to_numpy().any() or not predictions["confidence"].between(0, 1).all():
            raise ValueError("expected known classes and a confidence from 0 to 1 in every row")
    with _read_table(paths.history(variant), history.COLUMNS, train) as epochs:
        # Without validation images two columns are blank.
        if not np.isfinite(epochs.dropna(axis="columns", how="all").to_numpy(np.float64)).all():
            raise ValueError("expected finite numbers")
    return Result(variant, classes, read_metrics(variant), epochs, predictions)


def read_results(variants: Iterable[str]) -> list[Result]:
    """The results of `variants`, at least one.

    Raises PipelineError also when two of them differ in the classes or the test images.
    """
    first, *others = results = list(map(read_result, variants))
    for other in others:
        same_images = np.array_equal(first.predictions["actual"], other.predictions["actual"])
        if other.classes != first.classes or not same_images:
            raise PipelineError(
                f"{paths.predictions(other.variant)}: expected the classes and test images of "
                f"{paths.predictions(first.variant)}, found others; run `dvc repro "
                f"evaluate@{first.variant} evaluate@{other.variant}`"
            )
    return results


def read_published(path: Path) -> pd.DataFrame:
    """The study's figures with the variant as index."""
    return pd.read_csv(path, index_col="variant")


@contextmanager
def _read_table(
    path: Path, columns: Sequence[str], remedy: str, **options: Any
) -> Iterator[pd.DataFrame]:
    """The CSV `path`, which has rows of just these `columns`.

    Turns a missing file and any ValueError, of pandas' parser or the body, into a PipelineError.
    """
    try:
        table = pd.read_csv(path, **options)
        if list(table) != list(columns) or table.empty:
            raise ValueError(f"expected rows of {', '.join(columns)}")
        yield table
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise PipelineError(f"{path}: missing or malformed: {reason}; {remedy}") from error
