"""Stage page: all results and a network that classifies images, in one HTML file."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.comparison import results
from pipeline.comparison.results import Result
from pipeline.comparison.tables import METRICS, ROUNDING
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params, read_section
from pipeline.core.splits import read_split
from pipeline.datasets.config import read_dataset_config
from pipeline.evaluation.config import Predict, read_inference_config
from pipeline.evaluation.metrics import class_scores, read_metrics
from pipeline.page import export_weights, images, model_card, training_times
from pipeline.page.page_data import Network, Page, PageData, RankingRow, Variant

REPORTS = Path("reports")
PAGE = REPORTS / "index.html"
CARD = REPORTS / "model_card.md"
WEB = Path("pipeline/page/web")
SCRIPTS = ("elements.js", "network.js", "photo.js", "charts.js", "results.js", "page.js")


def main(_: list[str]) -> None:
    """Write reports/index.html, and the card of the model in it."""
    params = read_params()
    settings = read_section(params, "page", Page)
    dataset = read_dataset_config(params)
    data, result = collect(params, settings), results.read_result(settings.variant)
    name = "CIFAR-10" if dataset.kind == "cifar10" else Path(dataset.folder).name
    parameters = variant_settings(params, settings.variant)
    card = model_card.render(result, data, dataset.kind, name, parameters)
    page = render(data, name, result.test_images)
    files.write_text(CARD, card)
    files.write_text(PAGE, page)
    print(f"page: {len(page.encode()) / 1e6:.1f} MB, with the network of {settings.variant}")


def collect(params: Mapping[str, Any], settings: Page) -> PageData:
    """The data from `params` and what preprocess, train, evaluate and compare wrote.

    Raises PipelineError when results, training times, test images or the model are malformed.
    """
    times = training_times.read_training_times()
    comparison = pd.read_csv(REPORTS / "comparison.csv")
    differences = pd.read_csv(REPORTS / "differences.csv")
    all_results = results.read_results(comparison["variant"])
    variants = {result.variant: _variant(params, result, settings) for result in all_results}
    test = read_split("test")
    labels, size = test.labels.argmax(axis=1), test.images.shape[1]
    samples = select_samples(labels, settings.samples, size)
    shown = sorted({row[0] for variant in variants.values() for row in variant.examples})
    jpeg_header, examples = images.encode_jpegs(test.images, shown, settings.jpeg_quality)
    return PageData(
        crop_mode=read_dataset_config(params).crop_mode,
        side=size,
        classes=list(all_results[0].classes),
        confidence_level=read_section(params, "compare.confidence_level", float),
        ranking=_ranking(comparison, differences[differences["significant"].astype(bool)], times),
        variants=variants,
        max_misclassified=settings.misclassified,
        samples=[(int(labels[index]), images.encode_png(test.images[index])) for index in samples],
        jpeg_header=jpeg_header,
        examples=examples,
        network=_network(params, settings.variant),
    )


def select_examples(predictions: pd.DataFrame, settings: Page) -> pd.DataFrame:
    """The test images that the page can show: index, actual, predicted, confidence.

    The most confident ones of each cell of the confusion matrix, and of all misclassified.
    """
    table = predictions.sort_values("confidence", ascending=False, kind="stable")
    in_cell = table.groupby(["actual", "predicted"]).cumcount() < settings.examples
    misclassified = table.index[table["actual"] != table["predicted"]]
    shown = table[in_cell | table.index.isin(misclassified[: settings.misclassified])]
    return shown.rename_axis("index").reset_index().round({"confidence": 4})


def select_samples(labels: np.ndarray, per_class: int, side: int) -> list[int]:
    """The first test images of each class, at least one, within PNG_PIXELS; `labels` are (N,)."""
    classes, numbers = np.unique(labels), pd.Series(labels)
    count = max(1, min(per_class, images.PNG_PIXELS // side**2 // len(classes)))
    return np.flatnonzero(numbers.groupby(numbers).cumcount() < count).tolist()


def variant_settings(params: Mapping[str, Any], variant: str) -> str:
    """YAML of the parameters of a training: the variant's own, its recipe's and the data set's."""
    own = lookup(params, f"variants.{variant}")
    keys = [f"recipes.{own['recipe']}", f"numerics.{own['numerics']}", "dataset"]
    sections = {"variant": own, **{key: lookup(params, key) for key in keys}}
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, default_flow_style=None)


def render(data: PageData, name: str, test_images: int) -> str:
    """The page of the data set `name`, of `test_images` images.

    "<" is escaped in the JSON, as `</script` would end the element.
    """
    text = data.model_dump_json().replace("<", "\\u003c")
    best, level = data.ranking[0], f"{100 * data.confidence_level:g} %"
    accuracy = [f"{100 * x:.1f} %" for x in (best.accuracy, best.accuracy_low, best.accuracy_high)]
    parts = {
        "dataset": html.escape(name),
        "count": f"{len(data.classes)}",
        "side": f"{data.side}",
        "test images": f"{test_images:,}",
        "best": f"{best.variant} classifies {accuracy[0]} of {test_images:,} test images correctly "
        f"({level} interval {accuracy[1]} to {accuracy[2]}).",
        "style": _read("style.css"),
        "scripts": "\n".join(map(_read, SCRIPTS)),
        "data": text,
    }
    page = _read("template.html")
    for key, part in parts.items():
        page = page.replace(f"<!-- {key} -->", part)
    return page


def _read(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8").rstrip("\n")


def _ranking(
    comparison: pd.DataFrame, significant: pd.DataFrame, times: pd.DataFrame
) -> list[RankingRow]:
    """Balanced accuracy is left out where it is the accuracy."""
    errors = {name: (comparison[name] - comparison["accuracy"]).abs().max() for name in METRICS}
    names = [name for name, error in errors.items() if error > ROUNDING]
    notebook = times[times["trained"] == training_times.NOTEBOOK].set_index("variant")
    notebook_times = notebook[["seconds", "machine"]].agg(tuple, axis=1).to_dict()
    rows = []
    for row in comparison.to_dict("records"):
        variant = row["variant"]
        row["metrics"] = {METRICS[name]: row[name] for name in names}
        row["better_than"] = significant["worse"][significant["better"] == variant].tolist()
        time = training_times.training_time(times, variant)
        row["time"] = (time.seconds, time.machine) if time else None
        row["notebook_time"] = notebook_times.get(variant)
        rows.append(RankingRow.model_validate(row))
    return rows


def _variant(params: Mapping[str, Any], result: Result, settings: Page) -> Variant:
    scores = class_scores(result.confusion)
    examples = select_examples(result.predictions, settings)
    return Variant.model_validate(
        {
            "history": result.history.drop(columns="epoch").to_dict("list"),
            "confusion": result.confusion.tolist(),
            "scores": {name: values.round(6).tolist() for name, values in scores.items()},
            "examples": list(examples.itertuples(index=False, name=None)),
            "settings": variant_settings(params, result.variant),
        }
    )


def _network(params: Mapping[str, Any], variant: str) -> Network:
    remedy = f"run `dvc repro train@{variant}`"
    layers, data = export_weights.export_model(paths.model(variant), remedy)
    network, recipe = (lookup(params, f"variants.{variant}.{key}") for key in ("network", "recipe"))
    config = read_inference_config(params, network, recipe)
    return Network(
        variant=variant,
        accuracy=read_metrics(variant).accuracy,
        layers=layers,
        data=data,
        tta=config.tta,
        temperature=config.temperature,
        rejection_threshold=read_section(params, "predict", Predict).rejection_threshold,
    )
