"""Stage page: all results and a network that answers, in one file that any browser opens."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.datasets.config import read_dataset_config
from pipeline.evaluate import manner
from pipeline.evaluate.settings import Predict
from pipeline.page import card, content, dataset, facts, packed
from pipeline.page.settings import Page
from pipeline.report import places

CARD = facts.REPORTS / "model_card.md"
PARTS = Path("pipeline/page")
SCRIPTS = ("network.js", "photo.js", "charts.js", "variant.js", "page.js")


def main(arguments: list[str]) -> None:
    """Write reports/index.html and the card of the model in it."""
    if arguments:
        raise PipelineError("usage: python -m pipeline page")
    params = params_file.read()
    settings = params_file.section(params, "page", Page)
    shown = facts.collect(params, settings)
    result = results.read_result(settings.variant)
    file, remedy = places.model(settings.variant), f"run `dvc repro train@{settings.variant}`"
    network = packed.network(file, remedy)
    network |= {
        "variant": settings.variant,
        "accuracy": result.metrics.accuracy,
        **_manner(params, settings.variant, network["config"]["config"]["name"]),
        # Pillow's limit, above which it takes a file for a bomb; predict heeds it.
        "most_pixels": Image.MAX_IMAGE_PIXELS,
    }
    made_by = content.settings(facts.sections(params), settings.variant)
    about = dataset.about(read_dataset_config(params))
    page = assemble(shown, network)
    files.write_text(CARD, card.text(_part("card.md"), result, about, shown, made_by))
    files.write_text(facts.REPORTS / "index.html", page)
    print(f"page: {len(page.encode()) / 1e6:.1f} MB, {settings.variant} answers in it")


def _manner(params: Mapping[str, Any], variant: str, network: str) -> dict[str, Any]:
    """How network.js is to ask the `network` of `variant`, as predict does."""
    views, temperature = manner.read(params, variant, network)
    unlikely = params_file.section(params, "predict", Predict).unlikely
    return {"views": views.model_dump(), "temperature": temperature, "unlikely": unlikely}


def assemble(shown: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """The template with its words, its style, its scripts and what they show."""
    parts = {
        "dataset": html.escape(shown["dataset"]),
        "count": f"{len(shown['classes'])}",
        "side": f"{shown['side']}",
        "test images": f"{shown['test_images']:,}",
        "style": _part("style.css"),
        "facts": _json(shown),
        "network": _json(network),
        "scripts": "\n".join(map(_part, SCRIPTS)),
    }
    page = _part("template.html")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8").rstrip("\n")


def _json(value: Mapping[str, Any]) -> str:
    """As one line that a script element can hold: it would end at any `</script`."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")
