"""The model card of the network in the page, in the format of Hugging Face."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.comparison import results
from pipeline.comparison.results import Result
from pipeline.comparison.tables import escape_markdown
from pipeline.datasets.config import Cifar10Config, DatasetConfig
from pipeline.evaluate import scores
from pipeline.page.page_data import PageData

TEMPLATE = Path("pipeline/page/card.md")
TASK = "image-classification"
TOP = 3  # weakest classes and most frequent mistakes that are listed
CROP_MODES = {"centre": "the centre square of each", "whole": "each padded with white to a square,"}


def render(result: Result, data: PageData, dataset: DatasetConfig, settings: str) -> str:
    """The card of the variant of `result`, trained with `settings`.

    Of the variants of several seeds, the ranking in `data` has the first alone.
    """
    metadata = _metadata(result, data.dataset, dataset)
    names = [escape_markdown(name) for name in result.classes]
    by_class = scores.class_scores(result.confusion)
    weakest = np.argsort(by_class.f1, kind="stable")[:TOP]
    mistakes = results.top_confusions(result.confusion, TOP)
    libraries = [f"{library} {version}" for library, version in data.libraries.items()]
    return TEMPLATE.read_text(encoding="utf-8").format(
        head=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True).rstrip(),
        name=result.variant,
        dataset=escape_markdown(data.dataset),
        parameters=f"{result.metrics.parameters:,}",
        count=len(names),
        side=data.side,
        classes=", ".join(names),
        settings=settings.rstrip(),
        libraries=", ".join(libraries),
        images=f"{result.test_images:,}",
        scores=_scores_table(names, by_class),
        weakest=", ".join(f"{names[k]} (F1 {by_class.f1[k]:.4f})" for k in weakest),
        mistakes=", ".join(f"{names[i]} called {names[j]} ({n})" for i, j, n in mistakes) or "none",
        **_from_ranking(result, data),
        **_about_dataset(dataset),
    )


def _metadata(result: Result, name: str, dataset: DatasetConfig) -> dict[str, Any]:
    """The YAML head. A licence is for the owner of photos to state."""
    hub = "uoft-cs/cifar10" if isinstance(dataset, Cifar10Config) else None
    metrics = [
        {"type": "accuracy", "value": result.metrics.accuracy},
        {"type": "f1", "name": "macro F1", "value": result.metrics.model_dump()["macro_f1"]},
    ]
    data = {"name": name, "type": hub or name, "split": "test"}
    evaluation = {"task": {"type": TASK}, "dataset": data, "metrics": metrics}
    return {
        **({"license": "mit", "datasets": [hub]} if hub else {}),
        "library_name": "keras",
        "pipeline_tag": TASK,
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": result.variant, "results": [evaluation]}],
    }


def _from_ranking(result: Result, data: PageData) -> dict[str, str]:
    """Accuracy with its interval, the other metrics of the ranking, and the training time."""
    values = result.metrics.model_dump()
    metrics = [f"{name.replace('_', ' ')} {values[name]:.4f}" for name in ("loss", *data.metrics)]
    accuracy = f"{result.metrics.accuracy:.4f}"
    row = next((row for row in data.ranking if row.variant == result.variant), None)
    time = "see the first seed in `reports/training_times.csv`"
    if row:
        deviation = f"{row.accuracy:.4f} ± {row.accuracy_deviation or 0:.4f}"
        mean = f"{row.seeds} seeds: {deviation}, " if row.seeds > 1 else ""
        interval = f"interval {row.accuracy_low:.4f} to {row.accuracy_high:.4f}"
        accuracy += f" ({mean}{100 * data.confidence:g} % {interval})"
        time = f"{row.seconds} s on {row.machine}" if row.machine else "not measured"
    return {"accuracy": accuracy, "metrics": ", ".join(metrics), "time": time}


def _scores_table(names: list[str], by_class: scores.ClassScores) -> str:
    table = pd.DataFrame({"class": names})
    for name in ("precision", "recall", "f1"):
        table[name] = [f"{value:.4f}" for value in getattr(by_class, name)]
    table["test images"] = [f"{count:,}" for count in by_class.support]
    align = ("left", *["right"] * 4)
    return table.to_markdown(index=False, disable_numparse=True, colalign=align)


def _about_dataset(dataset: DatasetConfig) -> dict[str, str]:
    """Its folder and preprocessing, and the licence, in Markdown."""
    if isinstance(dataset, Cifar10Config):
        return {
            "training": "CIFAR-10 (Krizhevsky, 2009), ten classes of equal size.",
            "licence": "MIT, as the code. CIFAR-10 has no licence of its own; its author asks to "
            "cite Krizhevsky, *Learning Multiple\nLayers of Features from Tiny Images*, 2009.",
        }
    return {
        "training": f"The photos in {escape_markdown(dataset.folder)}, "
        f"{CROP_MODES[dataset.framing]} scaled to {dataset.side} by {dataset.side} pixels.",
        "licence": "The code is under MIT. State the licence of the photos, and of a network "
        "trained on them, before you share it.",
    }
