"""Made-up results of variants, in memory and in the files of train and evaluate."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.comparison.results import Result
from pipeline.evaluate import tables
from pipeline.report import places, right
from pipeline.report.metrics import Metrics

# In the order of tables and figures.
NAMES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
PER_CLASS = 100  # test images


def history(epochs: int, seed: int, *, validated: bool = True) -> pd.DataFrame:
    """Distinct values; those of validation are NaN without one."""
    figures = np.random.default_rng(seed).permutation(4 * epochs).reshape(4, epochs)
    names = ("accuracy", "loss", "val_accuracy", "val_loss")
    table = pd.DataFrame(
        {name: row / (5 * epochs) for name, row in zip(names, figures, strict=True)}
    )
    if not validated:
        table[["val_accuracy", "val_loss"]] = np.nan
    table.insert(0, "epoch", range(1, epochs + 1))
    return table


def confusion(right_of_each_class: int, seed: int, classes: int = len(NAMES)) -> np.ndarray:
    """Counts int64 (K, K), rows the true classes, unequal to their transpose for K > 2."""
    generator = np.random.default_rng(seed)
    counts = np.zeros((classes, classes), np.int64)
    for label in range(classes):
        others = generator.choice([k for k in range(classes) if k != label], PER_CLASS)
        np.add.at(counts[label], others[right_of_each_class:], 1)
        counts[label, label] = right_of_each_class
    return counts


def result(
    variant: str = "one",
    *,
    accuracy: float = 0.5,
    learned: pd.DataFrame | None = None,
    classes: Sequence[str] = NAMES,
    counts: np.ndarray | None = None,
    correct: np.ndarray | None = None,
    **figures: float,
) -> Result:
    """The result of a variant, with defaults."""
    names = ("one_view_accuracy", "top2_accuracy", "balanced_accuracy", "macro_f1", "told_unlikely")
    rest = dict.fromkeys(names, 0.25)
    values = {"loss": 1.0, **rest, "calibration_error": 0.125, "parameters": 7, **figures}
    return Result(
        variant=variant,
        classes=tuple(classes),
        metrics=Metrics.model_validate({"accuracy": accuracy, **values}),
        history=history(3, 1) if learned is None else learned,
        confusion=np.eye(len(classes), dtype=np.int64) if counts is None else counts,
        correct=np.ones(10, bool) if correct is None else correct,
        reliability=bins(accuracy),
    )


def bins(accuracy: float) -> pd.DataFrame:
    """Two of ten bins of confidence, the first with half the accuracy."""
    return pd.DataFrame(
        {
            "up_to": [0.6, 1.0],
            "images": [200, 800],
            "confidence": [0.55, 0.95],
            "accuracy": [accuracy / 2, accuracy],
        }
    )


def write(
    variant: str,
    right_of_each_class: int,
    *,
    folder: Path = Path(),
    epochs: int = 4,
    validated: bool = True,
    classes: Sequence[str] = NAMES,
    **figures: float,
) -> None:
    """The files of `variant` that compare and page read; all depend on `right_of_each_class`."""
    counts = confusion(right_of_each_class, right_of_each_class, len(classes))
    files: Mapping[Path, pd.DataFrame] = {
        places.history(variant): history(epochs, right_of_each_class, validated=validated),
        places.classes(variant): tables.per_class(counts, classes),
        places.reliability(variant): bins(right_of_each_class / PER_CLASS),
    }
    for path, table in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / path, index=False, lineterminator="\n")
    correct = np.arange(len(classes) * PER_CLASS) % PER_CLASS < right_of_each_class
    right.write(folder / places.right(variant), correct)
    rows = [
        (PER_CLASS * i + j % PER_CLASS, classes[i], classes[j], 0.5 + 0.04 * (j % 10))
        for i, j in np.argwhere(counts)
    ]
    examples = pd.DataFrame(rows, columns=["index", "actual", "predicted", "confidence"])
    examples.to_csv(folder / places.examples(variant), index=False, lineterminator="\n")
    share = right_of_each_class / PER_CLASS
    metrics: dict[str, Any] = {
        "accuracy": share,
        "loss": 2 - share,
        "parameters": 66_000 + right_of_each_class,
        "top2_accuracy": share / 2 + 0.5,
        "balanced_accuracy": share,
        "macro_f1": share / 4,
        "calibration_error": share / 8,
        "one_view_accuracy": share / 16,
        "told_unlikely": share / 32,
    }
    (folder / places.metrics(variant)).write_text(json.dumps(metrics | figures), encoding="utf-8")
