"""Stage page: all results and a network that classifies images, in one HTML file."""

import base64
import html
import io
import json
import math
import re
import string
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pydantic
import yaml
from PIL import Image

from pipeline.comparison import results
from pipeline.comparison.results import Result
from pipeline.comparison.seeds import progress_note
from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params, read_section
from pipeline.core.splits import read_split
from pipeline.datasets.config import DatasetConfig
from pipeline.evaluation.config import read_metadata
from pipeline.evaluation.metrics import class_scores
from pipeline.page.page_data import Layer, Media, Network, Page, PageData, RankingRow, Variant

REPORTS = Path("reports")
PAGE = REPORTS / "index.html"
CARD = REPORTS / "model_card.md"
UNLIKE = Path("benchmarks/unlike.csv")
CARD_TEMPLATE = Path("pipeline/page/card.md")
WEB = Path("pipeline/page/web")
SCRIPTS = ("elements.js", "results.js", "page.js")
WORKER = ("network.js", "photo.js", "worker.js")

LICENCES = {  # of the model, by the kind of its data set
    "cifar10": "MIT, as the code. CIFAR-10 has no licence of its own; its author asks to cite "
    "Krizhevsky, *Learning Multiple\nLayers of Features from Tiny Images*, 2009.",
    "photos": "The code is under MIT. State the licence of the photos, and of a network trained on "
    "them, before you share it.",
}
# Limits of all images together, for a page small enough to send: 4 MB of WebP, 3 MB of it lossy.
SAMPLE_PIXELS = 2**20
EXAMPLE_PIXELS = 2**23
# Characters with a meaning within a line or a table cell of GitHub's Markdown. An underscore
# between letters or digits has none.
MARKUP = re.compile(r"[\\`*\[<|$~&]|(?<![^\W_])_|_(?![^\W_])")


def main(arguments: list[str]) -> None:
    """Write reports/index.html, and the card of the model that it has first.

    As long as only the variants of `arguments` have ended, the page has those of its networks.
    """
    params = read_params()
    settings = read_section(params, "page", Page)
    names = dict.fromkeys([settings.variant, *settings.compared_with])
    networks = [results.read_result(name) for name in names if name in (arguments or names)]
    if not networks:
        print("page: none of its networks has ended")
        return
    first = networks[0].variant
    dataset = read_section(params, "dataset", DatasetConfig)
    name = "CIFAR-10" if dataset.kind == "cifar10" else Path(dataset.folder).name
    data, media = collect(params, settings, networks)
    settings_yaml = variant_settings(params, first)
    card = render_card(networks[0], dataset.kind, name, side=data.side, settings=settings_yaml)
    content = {
        "dataset": html.escape(name),
        "test_images": f"{len(networks[0].predictions):,}",
        "note": progress_note(arguments, lookup(params, "variants")),
        "rejection": rejection_note(first, data.networks[0].config.rejection_threshold),
        "links": links(settings.repository, first),
    }
    page = render_page(data, media, content)
    files.write_text(CARD, card)
    files.write_text(PAGE, page)
    print(f"page: {len(page.encode()) / 1e6:.1f} MB, with {', '.join(n.variant for n in networks)}")


def collect(
    params: Mapping[str, Any], settings: Page, networks: Sequence[Result]
) -> tuple[PageData, Media]:
    """The content of the page, with `networks`; PipelineError when an input is malformed."""
    table = pd.read_csv(REPORTS / "comparison.csv")
    all_results = results.read_results(table["variant"])
    variants = {each.variant: _variant(params, each, settings) for each in all_results}
    test = read_split("test")
    labels, side = test.labels.argmax(axis=1).tolist(), test.images.shape[1]
    samples = select_samples(labels, settings.samples, side)
    shown = sorted({row[0] for variant in variants.values() for row in variant.examples})
    example_side = min(side, math.isqrt(EXAMPLE_PIXELS // len(shown)))
    exported, weights = [], {}
    for variant, accuracy in ((each.variant, each.metrics.accuracy) for each in networks):
        layers, weights[variant] = export_model(variant)
        _, config = read_metadata(paths.tflite(variant))
        exported.append(Network(variant=variant, accuracy=accuracy, layers=layers, config=config))
    data = PageData(
        crop_mode=read_section(params, "dataset", DatasetConfig).crop_mode,
        side=side,
        classes=list(networks[0].classes),
        confidence_level=read_section(params, "compare.confidence_level", float),
        ranking=_ranking(table, all_results),
        variants=variants,
        networks=exported,
        max_misclassified=settings.misclassified,
        # On which the first network is right and the last one wrong, where there is one.
        first_sample=int(np.argmax((networks[0].correct & ~networks[-1].correct)[samples])),
    )
    media = Media(
        samples=[(labels[k], encode_image(test.images[k], side, lossless=True)) for k in samples],
        weights=weights,
        examples={k: encode_image(test.images[k], example_side, quality=50) for k in shown},
    )
    return data, media


def select_examples(predictions: pd.DataFrame, settings: Page) -> pd.DataFrame:
    """The test images that the page can show: index, actual, predicted, confidence.

    The most confident ones of each cell of the confusion matrix, and of all misclassified.
    """
    table = predictions.sort_values("confidence", ascending=False, kind="stable")
    in_cell = table.groupby(["actual", "predicted"]).cumcount() < settings.examples
    misclassified = table.index[table["actual"] != table["predicted"]]
    shown = table[in_cell | table.index.isin(misclassified[: settings.misclassified])]
    return shown.rename_axis("index").reset_index().round({"confidence": 4})


def select_samples(labels: list[int], per_class: int, side: int) -> list[int]:
    """The first test images of each class, at least one, in SAMPLE_PIXELS."""
    count = max(1, min(per_class, SAMPLE_PIXELS // side**2 // len(set(labels))))
    return np.flatnonzero(pd.Series(labels).groupby(labels).cumcount() < count).tolist()


def encode_image(image: np.ndarray, side: int, **options: Any) -> str:
    """The WebP file in base64 of `image`, float32 (S, S, 3) in [0, 1], resized to `side` pixels."""
    file, pixels = io.BytesIO(), Image.fromarray(np.rint(image * 255).astype(np.uint8))
    pixels.resize((side, side), Image.Resampling.LANCZOS).save(file, "WEBP", **options)
    return base64.b64encode(file.getvalue()).decode()


def variant_settings(params: Mapping[str, Any], variant: str) -> str:
    """YAML of the parameters of a training: the variant's own, its recipe's and the data set's."""
    own = lookup(params, f"variants.{variant}")
    keys = [f"recipes.{own['recipe']}", f"numerics.{own['numerics']}", "dataset"]
    sections = {"variant": own, **{key: lookup(params, key) for key in keys}}
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, default_flow_style=None)


def rejection_note(variant: str, threshold: float) -> str:
    """How often photos that show no class are rejected, where UNLIKE has it for this model."""
    note = f"Below a probability of {threshold:.1%} a photo is called unlikely to show any class"
    table = pd.read_csv(UNLIKE)
    for row in table[table["model"] == files.sha256(paths.tflite(variant))].itertuples():
        note += (
            f": {variant} says so of {row.rejected:.1%} of {row.photos:,} photos of other things, "
            f"and of {row.test_rejected:.1%} of the test images. It takes the others for one of "
            "its classes, often with a high probability"
        )
    return f"{note}."


def links(repository: str | None, variant: str) -> str:
    """HTML: where the model, its card and the code are; without `repository` beside the page."""
    if repository:
        return f'<a href="{html.escape(repository)}">Code, model and model card</a>'
    return (
        f'In the folder of this file: <a href="model_card.md">model card</a>, '
        f'<a href="{variant}.tflite">model</a>, <a href="../README.md">README of the project</a>'
    )


def export_model(variant: str) -> tuple[list[Layer], str]:
    """Layers and weights of the model of `variant`, as page_data.Network and Media have them.

    By h5py, without TensorFlow. Raises PipelineError when the file is missing or damaged, and one
    that names the layer when network.js cannot compute it.
    """
    path, name, layers, data = paths.model(variant), "", [], b""
    try:
        with zipfile.ZipFile(path) as archive:
            configs = json.loads(archive.read("config.json"))["config"]["layers"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                weights = _read_weights(file)
        configs[-1]["config"]["activation"] = "linear"  # evaluate has refused any but softmax
        for layer in configs:
            name, calls = layer["config"]["name"], len(layer["inbound_nodes"])
            arrays = weights.get(name, [])
            data += b"".join(array.tobytes() for array in arrays)
            added = {"calls": calls, "weights": [array.shape for array in arrays]}
            layers.append(Layer.model_validate(layer["config"] | layer | added))
    except pydantic.ValidationError as error:
        key, message = error.errors()[0]["loc"][0], error.errors()[0]["msg"]
        raise PipelineError(
            f"{path}: layer {name}: {key} {message}; set page.variant to another variant, or add "
            "the layer to page_data.py and web/network.js in pipeline/page"
        ) from error
    except (OSError, zipfile.BadZipFile, LookupError) as error:
        raise PipelineError(
            f"{path}: expected a trained Keras model, found {error}; delete the file and run "
            f"`dvc repro train@{variant}`"
        ) from error
    return layers, base64.b64encode(data).decode()


def render_page(data: PageData, media: Media, content: Mapping[str, str]) -> str:
    """The page; `content` has further placeholders of template.html."""
    best = data.ranking[0]
    weights = sorted(media.weights.items(), key=lambda item: len(item[1]))  # soon a first answer
    scripts = (
        f'<script type="text/plain">{text}</script>\n<script>'
        f"loadWeights({json.dumps(name)}, document.currentScript.previousElementSibling);</script>"
        for name, text in weights
    )
    return string.Template(_read("template.html")).substitute(
        content,
        classes=len(data.classes),
        side=data.side,
        best=f"{best.variant} classifies {100 * best.accuracy:.1f} %",
        style=_read("style.css"),
        scripts="\n".join(map(_read, SCRIPTS)),
        worker="\n".join(map(_read, WORKER)),
        data=data.model_dump_json().replace("<", "\\u003c"),  # `</script` would end the element
        samples=json.dumps(media.samples),
        weights="\n".join(scripts),
        examples=json.dumps(media.examples),
    )


def render_card(result: Result, kind: str, dataset: str, *, side: int, settings: str) -> str:
    """The card of `result` in Hugging Face's format; the `dataset` has images of `side` pixels."""
    is_cifar10, name_in_yaml = kind == "cifar10", json.dumps(dataset, ensure_ascii=False)
    escape = partial(MARKUP.sub, r"\\\g<0>")
    return string.Template(CARD_TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=result.variant,
        parameters=f"{result.metrics.parameters:,}",
        count=len(result.classes),
        side=side,
        classes=", ".join(map(escape, result.classes)),
        settings=settings.rstrip(),
        images=f"{len(result.predictions):,}",
        accuracy=result.metrics.accuracy,
        loss=result.metrics.loss,
        macro_f1=result.metrics.model_dump()["macro_f1"],
        dataset=escape(dataset),
        dataset_name=name_in_yaml,
        dataset_type="uoft-cs/cifar10" if is_cifar10 else name_in_yaml,
        metadata="license: mit\ndatasets: [uoft-cs/cifar10]\n" if is_cifar10 else "",
        licence=LICENCES[kind],
    )


def _read_weights(file: h5py.File) -> dict[str, list[np.ndarray]]:
    """The weights of each layer in Keras's order: kernels as float16, vectors as float32."""
    weights = {}
    for group in (layer["vars"] for layer in file["layers"].values()):
        arrays = [np.asarray(group[number]) for number in sorted(group, key=int)]
        weights[group.attrs["name"]] = [a.astype("<f2" if a.ndim > 1 else "<f4") for a in arrays]
    return weights


def _read(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8").rstrip("\n")


def _ranking(table: pd.DataFrame, all_results: Sequence[Result]) -> list[RankingRow]:
    differences = pd.read_csv(REPORTS / "differences.csv")
    significant, rows = differences[differences["significant"].astype(bool)], []
    for row, result in zip(table.to_dict("records"), all_results, strict=True):
        row["time"] = result.time
        row["better_than"] = significant["worse"][significant["better"] == row["variant"]].tolist()
        rows.append(RankingRow.model_validate(row))
    return rows


def _variant(params: Mapping[str, Any], result: Result, settings: Page) -> Variant:
    scores = class_scores(result.confusion)
    examples = select_examples(result.predictions, settings)
    content = {
        "history": result.history.drop(columns="epoch").to_dict("list"),
        "confusion": result.confusion.tolist(),
        "scores": {name: values.round(6).tolist() for name, values in scores.items()},
        "examples": list(examples.itertuples(index=False, name=None)),
        "settings": variant_settings(params, result.variant),
    }
    return Variant.model_validate(content)
