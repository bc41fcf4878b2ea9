"""Stage page: all results and a network that classifies images, in one HTML file."""

import html
import json
from pathlib import Path

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.datasets.config import read_dataset_config
from pipeline.page import model_card, page_data
from pipeline.page.page_data import PageData
from pipeline.page.settings import Page

PAGE = page_data.REPORTS / "index.html"
CARD = page_data.REPORTS / "model_card.md"
WEB = Path("pipeline/page/web")
SCRIPTS = ("elements.js", "network.js", "photo.js", "charts.js", "variant.js", "page.js")


def main(arguments: list[str]) -> None:
    """Write reports/index.html, and the card of the model in it."""
    if arguments:
        raise PipelineError("usage: python -m pipeline page")
    params = params_file.read()
    settings = params_file.section(params, "page", Page)
    data = page_data.collect(params, settings)
    card = model_card.render(
        results.read_result(settings.variant),
        data,
        read_dataset_config(params),
        page_data.variant_settings(params, settings.variant),
    )
    page = render(data)
    files.write_text(CARD, card)
    files.write_text(PAGE, page)
    print(f"page: {len(page.encode()) / 1e6:.1f} MB, with the network of {settings.variant}")


def render(data: PageData) -> str:
    """The template with its style, its scripts and their data as JSON.

    "<" is escaped there, as `</script` would end the element.
    """
    content = data.model_dump()
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    parts = {
        "dataset": html.escape(data.dataset),
        "count": f"{len(data.classes)}",
        "side": f"{data.side}",
        "test images": f"{data.test_images:,}",
        "style": _read("style.css"),
        "scripts": "\n".join(map(_read, SCRIPTS)),
        "data": text.replace("<", "\\u003c"),
    }
    page = _read("template.html")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _read(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8").rstrip("\n")
