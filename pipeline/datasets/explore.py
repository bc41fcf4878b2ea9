"""Stage explore: figures and summary statistics of the splits.

pandas and matplotlib are imported in functions: every stage imports this module for its settings.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pydantic

from pipeline.core import files, splits
from pipeline.core.params import ConfigModel, Seed, read_params, read_section
from pipeline.core.splits import Split, read_class_names, read_split

REPORTS = Path("reports/data")
ROWS = 14  # of classes in by_class.png, about as high as a screen
# Distinct in greyscale, in the order of splits.NAMES.
BARS: tuple[dict[str, str], ...] = (
    {"color": "#333333"},
    {"color": "#FFFFFF", "edgecolor": "#333333", "hatch": "////"},
    {"color": "#AAAAAA", "edgecolor": "#333333"},
)
LABEL_CHARACTERS = 100  # more, of all class names together, would overlap side by side


class Explore(ConfigModel):
    """`seed` selects the training images that by_class.png shows of each class."""

    seed: Seed
    images_per_class: Annotated[int, pydantic.Field(ge=1, le=20)]


def main(arguments: list[str]) -> None:
    """Write the figures and the summary of data/processed to reports/data."""
    settings = read_section(read_params(), "explore", Explore)
    names = read_class_names()
    train = read_split("train")
    parts = {"train": train, **{name: read_split(name, train) for name in splits.NAMES[1:]}}
    draw_images_by_class(train, names, settings, REPORTS / "by_class.png")
    draw_class_counts(parts, names, REPORTS / "classes.png")
    files.write_text(REPORTS / "summary.md", summarize(parts, names))


def draw_images_by_class(split: Split, names: Sequence[str], settings: Explore, path: Path) -> None:
    """A row of random images of `split` for each class, as the PNG `path`."""
    from pipeline import plotting

    per_class, labels = settings.images_per_class, split.labels.argmax(axis=1)
    columns = math.ceil(len(names) / ROWS)
    rows = math.ceil(len(names) / columns)
    size = (columns * (0.45 * per_class + 0.6), 0.72 * rows + 0.5)
    grid = {"nrows": rows, "ncols": columns, "squeeze": False}
    with plotting.figure(path, figsize=size, **grid) as (figure, axes):
        figure.suptitle("Training images by class")
        for panel in axes.flat:
            panel.set_axis_off()
        for label, (panel, name) in enumerate(zip(axes.T.flat, names, strict=False)):
            own = split.images[labels == label]
            generator = np.random.default_rng(settings.seed)
            shown = own[generator.choice(len(own), min(len(own), per_class), replace=False)]
            panel.imshow(np.concatenate(shown, axis=1), interpolation="nearest")
            panel.set_xlim(-0.5, per_class * shown.shape[2] - 0.5)  # the same scale for all
            panel.set_title(name, loc="left", fontsize="small", pad=2, parse_math=False)


def draw_class_counts(parts: Mapping[str, Split], names: Sequence[str], path: Path) -> None:
    """Images per class of each split as bars, as the PNG `path`."""
    from pipeline import plotting

    rotation = 90 if len("".join(names)) > LABEL_CHARACTERS else 0
    width = 0.8 / len(parts)  # leaves a fifth between two classes
    with plotting.figure(path, figsize=(max(9, 0.3 * len(names)), 4.2)) as (figure, axes):
        for number, ((name, split), style) in enumerate(zip(parts.items(), BARS, strict=True)):
            start = np.arange(len(names)) - 0.4 + number * width
            label = f"{name} ({len(split.images):,} images)"
            counts = np.count_nonzero(split.labels, axis=0)
            axes.bar(start, counts, width, align="edge", label=label, **style)
        axes.set_xticks(range(len(names)), names, rotation=rotation, parse_math=False)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("images")
        axes.set_title("Images per class and split")
        figure.legend(loc="outside lower center", ncols=len(parts), frameon=False)


def summarize(parts: Mapping[str, Split], names: Sequence[str]) -> str:
    """Images per class, exact duplicates and channel statistics of each split, as Markdown."""
    import pandas as pd

    # Of integers, which float64 sums exactly in any order.
    pixels = {name: np.rint(split.images * 255).astype(np.uint8) for name, split in parts.items()}
    distinct = {
        name: {hashlib.sha256(image.data).digest() for image in images}
        for name, images in pixels.items()
    }
    counts = {name: np.count_nonzero(split.labels, axis=0) for name, split in parts.items()}
    statistics = {}
    for name, images in pixels.items():
        rows: dict[str, object] = {"images": f"{len(images):,}"}
        rows |= {f"duplicates in {other}": len(distinct[name] & distinct[other]) for other in parts}
        rows[f"duplicates in {name}"] = len(images) - len(distinct[name])
        for index, channel in enumerate(("red", "green", "blue")):
            levels = images[..., index]
            mean, deviation = levels.mean() / 255, levels.std() / 255
            rows[f"{channel}, mean ± standard deviation"] = f"{mean:.6f} ± {deviation:.6f}"
        statistics[name] = rows
    by_class = pd.DataFrame(counts, index=[name.replace("|", "\\|") for name in names])
    table = pd.concat([by_class.map("{:,}".format), pd.DataFrame(statistics)])
    markdown = table.to_markdown(disable_numparse=True, colalign=("left", *["right"] * len(parts)))
    shape = " x ".join(map(str, parts["train"].images.shape[1:]))
    return f"""\
# The data

Images of {shape} float32 values from 0 to 1, labels one-hot.

{markdown}

Duplicates have equal pixels: in its own split those that repeat an earlier image, in another the
distinct images that both have."""
