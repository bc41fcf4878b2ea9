"""The model card of the network that the page carries, in the form that Hugging Face reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.comparison.results import Result, top_confusions
from pipeline.comparison.tables import escape_markdown
from pipeline.evaluate import scores
from pipeline.page.dataset import About

FEW = 3  # weakest classes, and commonest mistakes, that are named


def text(
    template: str, result: Result, about: About, facts: Mapping[str, Any], settings: object
) -> str:
    """The `template` filled with the `result` of a variant, its `settings` and the page's `facts`.

    The variant may be one of several seeds, of which the ranking has the first alone.
    """
    row = next((row for row in facts["ranking"] if row["variant"] == result.variant), None)
    libraries = [f"{library} {version}" for library, version in facts["libraries"].items()]
    return template.format(
        head=_yaml(_head(result, about)),
        name=result.variant,
        dataset=escape_markdown(about.name),
        parameters=f"{result.metrics.parameters:,}",
        count=len(result.classes),
        side=facts["side"],
        classes=", ".join(map(escape_markdown, result.classes)),
        settings=_yaml(settings, default_flow_style=None),
        libraries=", ".join(libraries),
        time=_time(row),
        images=f"{result.test_images:,}",
        accuracy=f"{result.metrics.accuracy:.4f}",
        sure=_sure(row, facts["confidence"]),
        figures=", ".join(_figures(result, facts["metrics"])),
        by_class=_by_class(result).to_markdown(
            index=False, disable_numparse=True, colalign=("left", *["right"] * 4)
        ),
        weakest=_weakest(result),
        mistakes=_mistakes(result),
        training=about.training,
        tested_on=about.tested_on,
        terms=about.terms,
    )


def _head(result: Result, about: About) -> dict[str, Any]:
    dataset = {"name": about.name, "type": about.hub or about.name, "split": "test"}
    metrics = [
        {"type": "accuracy", "value": result.metrics.accuracy},
        {"type": "f1", "name": "macro F1", "value": result.metrics.model_dump()["macro_f1"]},
    ]
    task = {"type": "image-classification"}
    results = [{"task": task, "dataset": dataset, "metrics": metrics}]
    return {
        **({"license": about.licence} if about.licence else {}),
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        **({"datasets": [about.hub]} if about.hub else {}),
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": result.variant, "results": results}],
    }


def _yaml(value: object, **style: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, **style).rstrip()


def _figures(result: Result, told: Sequence[str]) -> list[str]:
    """The loss, and those metrics that the ranking has too."""
    found = result.metrics.model_dump()
    return [f"{key.replace('_', ' ')} {found[key]:.4f}" for key in ("loss", *told)]


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


def _by_class(result: Result) -> pd.DataFrame:
    found = scores.class_scores(result.confusion)
    columns = {"precision": found.precision, "recall": found.recall, "F1": found.f1}
    shown = {head: [f"{value:.4f}" for value in column] for head, column in columns.items()}
    names = list(map(escape_markdown, result.classes))
    return pd.DataFrame(
        {"class": names, **shown, "test images": [f"{count:,}" for count in found.support]}
    )


def _weakest(result: Result) -> str:
    f1 = scores.class_scores(result.confusion).f1
    weakest = np.argsort(f1, kind="stable")[:FEW]
    return ", ".join(f"{escape_markdown(result.classes[k])} (F1 {f1[k]:.4f})" for k in weakest)


def _mistakes(result: Result) -> str:
    names = list(map(escape_markdown, result.classes))
    pairs = top_confusions(result.confusion, FEW)
    return ", ".join(f"{names[i]} called {names[j]} ({n})" for i, j, n in pairs) or "none"
