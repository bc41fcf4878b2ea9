"""What the page says of the results, as one mapping for JSON."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.comparison.results import MATRIX_CLASSES, PAIRS, Result, top_confusions
from pipeline.evaluate import scores
from pipeline.page import training_times


def ranking(comparison: pd.DataFrame, known: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the comparison, each with the time of its training, None where not `known`."""
    rows = []
    for row in comparison.to_dict("records"):
        time = training_times.training_time(known, str(row["variant"]))
        # Whole seconds, rounded as in README's table.
        spent = {"seconds": time and round(time.seconds), "machine": time and time.machine}
        rows.append({str(key): _plain(value) for key, value in row.items()} | spent)
    return rows


def is_published(comparison: pd.DataFrame) -> bool:
    """Whether the study published figures of these data, beside which the comparison stands."""
    return "published_accuracy" in comparison


def notebook(known: pd.DataFrame, comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """The study's trainings: what it published, at the time that they take where that is known."""
    if not is_published(comparison):
        return []
    published = comparison.set_index("variant")["published_accuracy"].dropna()
    is_notebook = known["trained"] == training_times.NOTEBOOK
    rows = known[is_notebook & known["variant"].isin(published.index)]
    return [
        {
            "variant": row["variant"],
            "accuracy": float(published[row["variant"]]),
            "seconds": round(row["seconds"]),
            "machine": row["machine"],
        }
        for row in rows.to_dict("records")
    ]


def answer(row: Mapping[str, Any], images: int, confidence: float, published: float | None) -> str:
    """A sentence on the first `row` of the ranking, beside the best `published` accuracy.

    That is NaN where nothing was published of these variants, None where nothing of these data.
    """
    seconds = row["seconds"]
    accuracy, low, high = (
        _percent(row[key]) for key in ("accuracy", "accuracy_low", "accuracy_high")
    )
    after = f" after {_minutes(seconds)} of training on {row['machine']}" if seconds else ""
    beside = (
        ""
        if published is None or math.isnan(published)
        else f"; the best that the study published is {_percent(published)}"
    )
    return (
        f"{row['variant']} has {accuracy} of {images:,} test images right "
        f"({100 * confidence:g} % interval {low} to {high}){after}{beside}."
    )


def beats(differences: pd.DataFrame) -> dict[str, list[str]]:
    """For each variant those that it is surely better than."""
    sure = differences[differences["beats"].astype(bool)]
    return {str(name): list(rows["worse"]) for name, rows in sure.groupby("better", sort=False)}


def variant(result: Result, settings: Mapping[str, Any]) -> dict[str, Any]:
    """How a variant learned, where it errs, and by which `settings` it was trained.

    Of more classes than a matrix has room for, the most `confused` pairs stand for `confusion`.
    """
    by_class = scores.class_scores(result.confusion)
    many = len(result.classes) > MATRIX_CLASSES
    return {
        "history": {
            name: [_plain(value) for value in column] for name, column in result.history.items()
        },
        "confusion": None if many else result.confusion.tolist(),
        "confused": top_confusions(result.confusion, PAIRS) if many else None,
        "precision": by_class.precision.round(6).tolist(),
        "recall": by_class.recall.round(6).tolist(),
        "f1": by_class.f1.round(6).tolist(),
        "support": by_class.support.tolist(),
        "settings": settings,
        "digest": training_times.history_digest(result.variant),
    }


def settings(sections: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """All parameters that decide a training: the variant's own, its recipe's, and the others'.

    `sections` holds those of params.yaml: variants, recipes, arithmetic and dataset.
    """
    own = dict(sections["variants"][name])
    return {
        "variant": own,
        f"recipe {own['recipe']}": sections["recipes"][own["recipe"]],
        f"arithmetic {own['arithmetic']}": sections["arithmetic"][own["arithmetic"]],
        "dataset": sections["dataset"],
    }


def libraries(pins: Iterable[Path]) -> dict[str, str]:
    """Name and version of the pinned libraries, which decide the bytes of all results."""
    lines = [line for path in pins for line in path.read_text(encoding="utf-8").split()]
    return dict(line.split("==") for line in lines)


def _plain(value: Any) -> Any:
    """A number of NumPy or pandas as JSON has it: None for NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
