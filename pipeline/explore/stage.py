"""Stage explore: what the data holds, in figures and numbers, before anything is trained on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import files, params_file
from pipeline.data import splits
from pipeline.data.cifar10 import CLASSES
from pipeline.data.splits import Split
from pipeline.explore.settings import Explore
from pipeline.explore.summary import CHANNELS, summarize
from pipeline.report import figures

REPORTS = Path("reports/data")
ROWS, COLUMNS = 2, 5  # of the sample figure, as in the study
# Told apart by grey and hatching, in the order of splits.NAMES.
BARS: tuple[dict[str, str], ...] = (
    {"color": "#333333"},
    {"color": "#FFFFFF", "edgecolor": "#333333", "hatch": "////"},
    {"color": "#AAAAAA", "edgecolor": "#333333"},
)


def pick(count: int, seed: int) -> np.ndarray:
    """Indices int64 (10,) of the images shown, drawn from `count` >= 10 without replacement."""
    return np.random.default_rng(seed).choice(count, ROWS * COLUMNS, replace=False)


def draw_samples(split: Split, seed: int, path: Path) -> None:
    """A grid of ten random images of `split`, each titled with its class, as the PNG `path`."""
    with figures.drawing(path, nrows=ROWS, ncols=COLUMNS, figsize=(9, 4.2)) as (figure, axes):
        figure.suptitle("Images with Class Labels")
        for panel, index in zip(axes.flat, pick(len(split.images), seed), strict=True):
            panel.imshow(split.images[index], interpolation="nearest")
            panel.set_title(CLASSES[split.labels[index].argmax()])
            panel.set_axis_off()


def draw_classes(facts: Mapping[str, Any], path: Path) -> None:
    """Images per class of every split in `facts` (summarize()["splits"]) as bars, to `path`."""
    width = 0.8 / len(facts)  # leaves a fifth of every class's place as a gap
    with figures.drawing(path, figsize=(9, 4.2)) as (_, axes):
        for number, ((name, fact), style) in enumerate(zip(facts.items(), BARS, strict=True)):
            left = np.arange(len(CLASSES)) - 0.4 + number * width
            heights = list(fact["images_per_class"].values())
            label = f"{name} ({fact['images']:,} images)"
            axes.bar(left, heights, width, align="edge", label=label, **style)
        axes.set_xticks(range(len(CLASSES)), CLASSES)
        axes.set_ylabel("images")
        axes.set_title("Images per class and split")
        axes.grid(visible=False, axis="x")
        axes.figure.legend(loc="outside lower center", ncols=len(facts), frameon=False)


def to_markdown(summary: Mapping[str, Any]) -> str:
    """The summary for people: a table with a column per split and one for the total."""
    facts = summary["splits"]
    columns = {**facts, "total": summary["total"]}
    copies = [*summary["duplicates"]["within"].values(), summary["duplicates"]["total"]]
    rows = {
        "images": [f"{fact['images']:,}" for fact in columns.values()],
        "minimum": [f"{fact['minimum']:g}" for fact in columns.values()],
        "maximum": [f"{fact['maximum']:g}" for fact in columns.values()],
        "missing values": [str(fact["missing_values"]) for fact in columns.values()],
        "exact copies of an earlier image": [str(number) for number in copies],
    }
    for name in CLASSES:
        rows[name] = [f"{fact['images_per_class'][name]:,}" for fact in columns.values()]
    for channel in CHANNELS:
        numbers = [fact["channels"][channel] for fact in columns.values()]
        cells = [f"{n['mean']:.6f} ± {n['standard_deviation']:.6f}" for n in numbers]
        rows[f"{channel}, mean ± standard deviation"] = cells
    shown = pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))
    align = ("left", *["right"] * len(columns))
    first = next(iter(facts.values()))
    shape, dtype = " x ".join(map(str, first["image_shape"])), first["image_dtype"]
    across = summary["duplicates"]["across"].items()
    return "\n".join(
        [
            "# The data",
            "",
            f"Images {shape} ({dtype}), labels {first['label_shape'][0]} one-hot values "
            f"({first['label_dtype']}).",
            "",
            shown.to_markdown(disable_numparse=True, colalign=align),
            "",
            f"Images in two splits: {', '.join(f'{pair} {count}' for pair, count in across)}.",
        ]
    )


def main(arguments: list[str]) -> None:
    """Write the figures and tables of reports/data from the three splits."""
    settings = params_file.section(params_file.read(), "explore", Explore)
    parts = {name: splits.read(name) for name in splits.NAMES}
    summary = summarize(parts)
    draw_samples(parts["train"], settings.seed, REPORTS / "samples.png")
    draw_classes(summary["splits"], REPORTS / "classes.png")
    files.write_json(REPORTS / "summary.json", summary)
    files.write_text(REPORTS / "summary.md", to_markdown(summary))
