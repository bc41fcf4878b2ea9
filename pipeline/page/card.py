"""The model card of the network that the page carries, in the form that Hugging Face reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.compare.results import Result
from pipeline.data.cifar10 import CLASSES
from pipeline.evaluate import scores

FEW = 3  # weakest classes, and commonest mistakes, that are named


def text(template: str, result: Result, facts: Mapping[str, Any], settings: object) -> str:
    """The `template` filled with the `result` of a variant, its `settings` and the page's `facts`.

    The variant may be one of several seeds, of which the ranking has the first alone.
    """
    row = next((row for row in facts["ranking"] if row["variant"] == result.variant), None)
    libraries = [f"{library} {version}" for library, version in facts["libraries"].items()]
    metrics = result.metrics.model_dump(exclude={"accuracy", "parameters"})
    return template.format(
        head=yaml.safe_dump(_head(result), sort_keys=False).rstrip(),
        name=result.variant,
        parameters=f"{result.metrics.parameters:,}",
        count=len(CLASSES),
        side=facts["side"],
        classes=", ".join(CLASSES),
        settings=yaml.safe_dump(settings, sort_keys=False, default_flow_style=None).rstrip(),
        libraries=", ".join(libraries),
        time=_time(row),
        images=f"{result.test_images:,}",
        accuracy=f"{result.metrics.accuracy:.4f}",
        sure=_sure(row, facts["confidence"]),
        figures=", ".join(f"{key.replace('_', ' ')} {value:.4f}" for key, value in metrics.items()),
        by_class=_by_class(result.confusion).to_markdown(
            index=False, disable_numparse=True, colalign=("left", *["right"] * 4)
        ),
        weakest=_weakest(result.confusion),
        mistakes=_mistakes(result.confusion),
    )


def _head(result: Result) -> dict[str, Any]:
    dataset = {"name": "CIFAR-10", "type": "uoft-cs/cifar10", "split": "test"}
    metrics = [
        {"type": "accuracy", "value": result.metrics.accuracy},
        {"type": "f1", "name": "macro F1", "value": result.metrics.model_dump()["macro_f1"]},
    ]
    task = {"type": "image-classification"}
    results = [{"task": task, "dataset": dataset, "metrics": metrics}]
    return {
        "license": "mit",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "datasets": ["uoft-cs/cifar10"],
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": result.variant, "results": results}],
    }


def _time(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "that of the first of its seeds is in `reports/training_times.csv`"
    if row["seconds"] is None:
        return "not measured"
    return f"{row['seconds']:.0f} s on {row['machine']}"


def _sure(row: Mapping[str, Any] | None, confidence: float) -> str:
    """The interval, and of several seeds what they are on average."""
    if row is None:
        return ""
    between = f"{row['accuracy_low']:.4f} to {row['accuracy_high']:.4f}"
    if row["seeds"] == 1:
        return f" ({100 * confidence:g} % interval {between})"
    spread = f"{row['accuracy']:.4f} ± {row['accuracy_deviation']:.4f}"
    return f" ({row['seeds']} seeds: {spread}, {100 * confidence:g} % interval {between})"


def _by_class(confusion: np.ndarray) -> pd.DataFrame:
    found = scores.class_scores(confusion)
    columns = {"precision": found.precision, "recall": found.recall, "F1": found.f1}
    shown = {head: [f"{value:.4f}" for value in column] for head, column in columns.items()}
    return pd.DataFrame(
        {"class": CLASSES, **shown, "test images": [f"{count:,}" for count in found.support]}
    )


def _weakest(confusion: np.ndarray) -> str:
    f1 = scores.class_scores(confusion).f1
    return ", ".join(f"{CLASSES[k]} (F1 {f1[k]:.4f})" for k in np.argsort(f1, kind="stable")[:FEW])


def _mistakes(confusion: np.ndarray) -> str:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:FEW]
    pairs = [np.unravel_index(k, wrong.shape) for k in order]
    return ", ".join(f"{CLASSES[i]} called {CLASSES[j]} ({wrong[i, j]})" for i, j in pairs)
