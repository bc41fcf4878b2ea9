"""The results of train and evaluate under reports/variants."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.evaluation.metrics import Metrics, confusion_matrix, read_metrics
from pipeline.training import history


@dataclass(frozen=True)
class Result:
    """One trained and evaluated variant of K `classes`."""

    variant: str
    classes: tuple[str, ...]
    metrics: Metrics
    history: pd.DataFrame  # a row per epoch
    # A row per test image: class indices `actual` and `predicted`, int64, and `confidence`.
    predictions: pd.DataFrame
    time: tuple[float, str] | None  # seconds of the training and its machine, if measured

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
    evaluate, train = f"evaluate@{variant}", f"train@{variant}"
    table = _read_table(paths.classes(variant), ["class"], evaluate, {"class": str})
    classes = tuple(table["class"])
    label = {name: number for number, name in enumerate(classes)}.__getitem__
    columns = ("actual", "predicted", "confidence")
    labels = dict.fromkeys(columns[:2], label)
    predictions = _read_table(paths.predictions(variant), columns, evaluate, labels)
    epochs = _read_table(paths.history(variant), history.COLUMNS, train)
    return Result(variant, classes, read_metrics(variant), epochs, predictions, _read_time(variant))


def read_results(variants: Iterable[str]) -> list[Result]:
    """The results of `variants`, at least one; PipelineError where classes or images differ."""
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


def _read_time(variant: str) -> tuple[float, str] | None:
    with suppress(OSError, ValueError, LookupError):
        run = json.loads(paths.training_time(variant).read_text(encoding="utf-8"))
        if run["history"] == files.sha256(paths.history(variant)):
            return run["seconds"], f"{run['cores']} cores of {run['processor']}"
    return None


def _read_table(
    path: Path, columns: Sequence[str], stage: str, converters: dict[str, Any] | None = None
) -> pd.DataFrame:
    """The `columns` of the CSV `path`, an output of `stage`; converters read names as they are."""
    blank_is_nan = not converters  # a class may be called "nan"
    try:
        table = pd.read_csv(path, converters=converters, keep_default_na=blank_is_nan)
        return table[list(columns)]
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(
            f"{path}: expected a table of {', '.join(columns)}, found a missing or malformed one "
            f"({' '.join(str(error).split())}); run `dvc repro {stage}`"
        ) from error
