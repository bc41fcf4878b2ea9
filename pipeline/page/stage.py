"""Stage page: all results and a network that answers, in one file that any browser opens."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.compare import results
from pipeline.compare.settings import Compare
from pipeline.data import splits
from pipeline.data.cifar10 import CLASSES, SIDE
from pipeline.evaluate import manner
from pipeline.evaluate.settings import Predict
from pipeline.page import card, content, examples, packed, pictures, times
from pipeline.page.settings import Page
from pipeline.report import places

REPORTS = Path("reports")
CARD = REPORTS / "model_card.md"
PARTS = Path("pipeline/page")
SCRIPTS = ("network.js", "photo.js", "charts.js", "page.js")
PINS = tuple(Path("requirements") / f"{name}.txt" for name in ("numpy", "tensorflow", "reports"))


def main(arguments: list[str]) -> None:
    """Write reports/index.html and the card of the model in it."""
    if arguments:
        raise PipelineError("usage: python -m pipeline page")
    params = params_file.read()
    settings = params_file.section(params, "page", Page)
    facts = _results(params)
    facts |= _with_pictures(facts["variants"], settings)
    result = results.read(settings.variant)
    file, remedy = places.model(settings.variant), f"run `dvc repro train@{settings.variant}`"
    network = packed.network(file, remedy)
    network |= {
        "variant": settings.variant,
        "accuracy": result.metrics.accuracy,
        **_manner(params, settings.variant, network["config"]["config"]["name"]),
        # Pillow's limit, above which it takes a file for a bomb; predict heeds it.
        "most_pixels": Image.MAX_IMAGE_PIXELS,
    }
    made_by = content.settings(_sections(params), settings.variant)
    page = assemble(facts, network)
    files.write_text(CARD, card.text(_part("card.md"), result, facts, made_by))
    files.write_text(REPORTS / "index.html", page)
    print(f"page: {len(page.encode()) / 1e6:.1f} MB, {settings.variant} answers in it")


def _manner(params: Mapping[str, Any], variant: str, network: str) -> dict[str, Any]:
    """How network.js is to ask the `network` of `variant`, as predict does."""
    views, temperature = manner.read(params, variant, network)
    unlikely = params_file.section(params, "predict", Predict).unlikely
    return {"views": views.model_dump(), "temperature": temperature, "unlikely": unlikely}


def assemble(facts: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """The template with its style, its scripts and what they show."""
    parts = {
        "style": _part("style.css"),
        "facts": _json(facts),
        "network": _json(network),
        "scripts": "\n".join(map(_part, SCRIPTS)),
    }
    page = _part("template.html")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _results(params: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of the variants that were compared, but for pictures."""
    confidence = params_file.section(params, "compare", Compare).confidence
    comparison = _table("comparison", "variant", "accuracy_low", "published_accuracy")
    differences = _table("differences", "better", "worse", "beats")
    known = times.read()
    found = [results.read(name) for name in comparison["variant"]]
    ranking = content.ranking(comparison, known)
    images = found[0].test_images
    published = comparison["published_accuracy"].max()
    sections = _sections(params)
    return {
        "classes": list(CLASSES),
        "side": SIDE,
        "answer": content.answer(ranking[0], images, confidence, published),
        "test_images": images,
        "confidence": confidence,
        "metrics": [name for name in found[0].metrics.model_extra or () if name in comparison],
        "ranking": ranking,
        "beats": content.beats(differences),
        "notebook": content.notebook(known, comparison),
        "libraries": content.libraries(PINS),
        "variants": {
            result.variant: content.variant(result, content.settings(sections, result.variant))
            for result in found
        },
    }


def _sections(params: Mapping[str, Any]) -> dict[str, Any]:
    names = ("variants", "recipes", "arithmetic", "preprocess")
    return {name: params_file.at(params, name) for name in names}


def _with_pictures(variants: dict[str, Any], settings: Page) -> dict[str, Any]:
    """The test images that the page shows; the examples of `variants` name their place there."""
    images, one_hot = splits.read("test")
    tables = {name: examples.read(name, len(images)) for name in variants}
    shown = content.shown(tables.values())
    for name, table in tables.items():
        variants[name]["examples"] = content.placed(table, shown)
    labels = one_hot.argmax(axis=1)
    samples = content.samples(labels, settings.samples)
    return {
        "columns": pictures.COLUMNS,
        "pictures": pictures.small(images[shown], settings.jpeg_quality),
        "numbers": shown,
        "samples": pictures.lossless(images[samples]),
        "sample_labels": [int(label) for label in labels[samples]],
        "mistakes": settings.mistakes,
    }


def _table(name: str, *needed: str) -> pd.DataFrame:
    path = REPORTS / f"{name}.csv"
    try:
        table = pd.read_csv(path, dtype={"variant": str, "better": str, "worse": str})
        if set(needed) <= set(table.columns):
            return table
        found = f"columns {', '.join(map(str, table.columns))}"
    except (OSError, ValueError) as error:
        found = " ".join(str(error).split())
    raise PipelineError(
        f"{path}: expected what compare writes, found {found}; run `dvc repro --force "
        "--single-item compare`"
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8").rstrip("\n")


def _json(value: Mapping[str, Any]) -> str:
    """As one line that a script element can hold: it would end at any `</script`."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")
