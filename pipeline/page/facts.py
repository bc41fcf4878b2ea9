"""All that the page shows but its network: results, settings and pictures, for JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.comparison.results import Result
from pipeline.comparison.settings import Compare
from pipeline.data import splits
from pipeline.datasets.config import read_dataset_config
from pipeline.page import chosen, content, dataset, examples, pictures, training_times
from pipeline.page.settings import Page
from pipeline.report import metrics

REPORTS = Path("reports")
PINS = tuple(Path("requirements") / f"{name}.txt" for name in ("numpy", "tensorflow", "reports"))
NEEDED = {
    "comparison": ("variant", "accuracy", "balanced_accuracy", "accuracy_low"),
    "differences": ("better", "worse", "beats"),
}


def collect(params: Mapping[str, Any], settings: Page) -> dict[str, Any]:
    """Everything, from `params` and what compare and evaluate wrote.

    Raises PipelineError when a file is missing or wrong.
    """
    comparison = _table("comparison")
    found = results.read_results(comparison["variant"])
    test = splits.read("test")
    _expect_measured_on(test, found[0])
    return (
        _of_the_data(params, test, found[0])
        | _of_the_comparison(params, comparison, found)
        | _of_the_variants(params, test, found, settings)
    )


def sections(params: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of `params` that decide a training."""
    names = ("variants", "recipes", "arithmetic", "dataset")
    return {name: params_file.at(params, name) for name in names}


def _of_the_data(params: Mapping[str, Any], test: splits.Split, result: Result) -> dict[str, Any]:
    how = read_dataset_config(params)
    return {
        "dataset": dataset.about(how).name,
        "framing": how.framing,
        "side": test.images.shape[1],
        "classes": list(result.classes),
        "test_images": result.test_images,
    }


def _of_the_comparison(
    params: Mapping[str, Any], comparison: pd.DataFrame, found: list[Result]
) -> dict[str, Any]:
    confidence = params_file.section(params, "compare", Compare).confidence
    known = training_times.read_training_times()
    ranking = content.ranking(comparison, known)
    told = [name for name in found[0].metrics.model_extra or () if name in comparison]
    if not metrics.says_more(comparison["balanced_accuracy"], comparison["accuracy"]):
        told = [name for name in told if name != "balanced_accuracy"]
    best = comparison["published_accuracy"].max() if content.is_published(comparison) else None
    return {
        "answer": content.answer(ranking[0], found[0].test_images, confidence, best),
        "confidence": confidence,
        "metrics": told,
        "published": content.is_published(comparison),
        "ranking": ranking,
        "beats": content.beats(_table("differences")),
        "notebook": content.notebook(known, comparison),
        "libraries": content.libraries(PINS),
    }


def _of_the_variants(
    params: Mapping[str, Any], test: splits.Split, found: list[Result], settings: Page
) -> dict[str, Any]:
    """Each variant, and the pictures, among which its examples name their place."""
    variants, tables = {}, {}
    for result in found:
        made = content.settings(sections(params), result.variant)
        variants[result.variant] = content.variant(result, made)
        table = examples.read(result.variant, result.classes, len(test.images))
        pairs = variants[result.variant]["confused"]
        tables[result.variant] = chosen.choosable(table, pairs, settings.mistakes)
    shown = chosen.shown(tables.values())
    for name, table in tables.items():
        variants[name]["examples"] = chosen.placed(table, shown)
    labels = test.labels.argmax(axis=1)
    most = pictures.LOSSLESS_PIXELS // test.images.shape[1] ** 2
    samples = chosen.samples(labels, settings.samples, most)
    return {
        "variants": variants,
        "pictures": pictures.small(test.images[shown], settings.jpeg_quality),
        "numbers": shown,
        "samples": pictures.lossless(test.images[samples]),
        "sample_labels": labels[samples].tolist(),
        "mistakes": settings.mistakes,
    }


def _expect_measured_on(test: splits.Split, result: Result) -> None:
    """Raise PipelineError unless `result` is of these test images."""
    counts = test.labels.sum(axis=0).astype(np.int64).tolist()
    expected = result.confusion.sum(axis=1).tolist()
    if counts != expected:
        raise PipelineError(
            f"{splits.path('test')}: expected {sum(expected)} images of {len(expected)} classes, "
            f"as {result.variant} was measured on, found {sum(counts)} of {len(counts)}, or other "
            "ones; run `dvc repro` to measure it again"
        )


def _table(name: str) -> pd.DataFrame:
    path = REPORTS / f"{name}.csv"
    try:
        table = pd.read_csv(path, dtype={"variant": str, "better": str, "worse": str})
        if set(NEEDED[name]) <= set(table.columns):
            return table
        found = f"columns {', '.join(map(str, table.columns))}"
    except (OSError, ValueError) as error:
        found = " ".join(str(error).split())
    raise PipelineError(
        f"{path}: expected what compare writes, found {found}; run `dvc repro --force "
        "--single-item compare`"
    )
