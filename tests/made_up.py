"""Made-up results of variants, in memory and in the files of train and evaluate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.comparison.results import Result
from pipeline.core import files, paths
from pipeline.datasets.cifar10 import CLASSES
from pipeline.evaluation.metrics import CSV, METRICS, Metrics, class_scores

NAMES = list(CLASSES)
PER_CLASS = 100  # test images


def history(epochs: int, seed: int, *, validated: bool = True) -> pd.DataFrame:
    """Distinct values; those of validation are NaN without one."""
    values = np.random.default_rng(seed).permutation(4 * epochs).reshape(4, epochs) / (5 * epochs)
    table = pd.DataFrame(values.T, columns=["accuracy", "loss", "val_accuracy", "val_loss"])
    if not validated:
        table[["val_accuracy", "val_loss"]] = np.nan
    table.insert(0, "epoch", range(1, epochs + 1))
    return table


def confusion(correct_per_class: int, seed: int, classes: int = len(NAMES)) -> np.ndarray:
    """Counts int64 (K, K), rows the true classes, unequal to their transpose for K > 2."""
    generator = np.random.default_rng(seed)
    counts = np.zeros((classes, classes), np.int64)
    for label in range(classes):
        others = generator.choice([k for k in range(classes) if k != label], PER_CLASS)
        np.add.at(counts[label], others[correct_per_class:], 1)
        counts[label, label] = correct_per_class
    return counts


def predictions(counts: np.ndarray) -> pd.DataFrame:
    """A row per image of the confusion matrix `counts`, by true class, the correct ones first.

    Confidences are 0.55, of every fifth image, and 0.95.
    """
    rows = [
        (i, j)
        for i in range(len(counts))
        for j in (i, *(k for k in range(len(counts)) if k != i))
        for _ in range(counts[i, j])
    ]
    table = pd.DataFrame(rows, columns=["actual", "predicted"])
    return table.assign(confidence=np.where(table.index % 5 == 0, 0.55, 0.95))


def result(
    variant: str = "one",
    *,
    accuracy: float = 0.5,
    learned: pd.DataFrame | None = None,
    classes: Sequence[str] = NAMES,
    counts: np.ndarray | None = None,
    correct: np.ndarray | None = None,
    **metrics: float,
) -> Result:
    """The result of a variant, with defaults; `correct` images are of the class predicted."""
    table = predictions(np.eye(len(classes), dtype=int) if counts is None else counts)
    if correct is not None:
        table = pd.DataFrame({"actual": 0, "predicted": 1 - correct, "confidence": 0.95})
    values: dict[str, Any] = dict.fromkeys(METRICS, 0.25)
    values |= {"accuracy": accuracy, "loss": 1.0, "calibration_error": 0.125, "parameters": 7}
    return Result(
        variant=variant,
        classes=tuple(classes),
        metrics=Metrics.model_validate(values | metrics),
        history=history(3, 1) if learned is None else learned,
        predictions=table,
        time=None,
    )


def write(
    variant: str,
    correct_per_class: int,
    *,
    folder: Path = Path(),
    epochs: int = 4,
    validated: bool = True,
    classes: Sequence[str] = NAMES,
) -> None:
    """The files of `variant` that compare and page read; all depend on `correct_per_class`."""
    counts = confusion(correct_per_class, correct_per_class, len(classes))
    table = predictions(counts)
    for column in ("actual", "predicted"):
        table[column] = np.array(classes)[table[column]]
    epochs_table = history(epochs, correct_per_class, validated=validated)
    by_class = pd.DataFrame({"class": classes, **class_scores(counts)})
    for path, content in (
        (paths.history(variant), epochs_table.to_csv(index=False)),
        (paths.classes(variant), by_class.to_csv(**CSV)),
        (paths.predictions(variant), table.to_csv(**CSV)),
    ):
        files.write_text(folder / path, content)
    share = correct_per_class / PER_CLASS
    values = {"accuracy": share, "loss": 2 - share, "parameters": 66_000 + correct_per_class}
    values |= {"macro_f1": share / 4, "calibration_error": share / 8}
    values |= {"accuracy_no_tta": share / 16, "rejection_rate": share / 32}
    files.write_json(folder / paths.metrics(variant), values)
