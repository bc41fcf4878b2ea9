"""Stage explore: a figure and summary statistics of the splits."""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import plotting
from pipeline.core import files, splits
from pipeline.core.splits import Split, read_class_names, read_split

REPORTS = Path("reports/data")
PER_CLASS = 8  # images in by_class.png
ROWS = 14  # of classes, about as high as a screen


def main(arguments: list[str]) -> None:
    """Write the figure and the summary of data/processed to reports/data."""
    names = read_class_names()
    train = read_split("train")
    parts = {"train": train, **{name: read_split(name, train) for name in splits.NAMES[1:]}}
    draw_images_by_class(train, names, REPORTS / "by_class.png")
    files.write_text(REPORTS / "summary.md", summarize(parts, names))


def draw_images_by_class(split: Split, names: Sequence[str], path: Path) -> None:
    """A row of random images of `split` for each class, as the PNG `path`."""
    labels = split.labels.argmax(axis=1)
    columns = math.ceil(len(names) / ROWS)
    rows = math.ceil(len(names) / columns)
    size = (columns * (0.45 * PER_CLASS + 0.6), 0.72 * rows + 0.5)
    grid = {"nrows": rows, "ncols": columns, "squeeze": False}
    with plotting.figure(path, figsize=size, **grid) as (figure, axes):
        figure.suptitle("Training images by class")
        for panel in axes.flat:
            panel.set_axis_off()
        for label, (panel, name) in enumerate(zip(axes.T.flat, names, strict=False)):
            own = np.flatnonzero(labels == label)
            chosen = np.random.default_rng(1).choice(own, min(len(own), PER_CLASS), replace=False)
            panel.imshow(np.concatenate(split.images[chosen], axis=1), interpolation="nearest")
            panel.set_xlim(-0.5, PER_CLASS * split.images.shape[2] - 0.5)  # the same scale for all
            panel.set_title(name, loc="left", fontsize="small", pad=2, parse_math=False)


def summarize(parts: Mapping[str, Split], names: Sequence[str]) -> str:
    """Images per class, duplicates and channel statistics of each split, as Markdown."""
    # Of integers, which float64 sums exactly in any order.
    pixels = {name: np.rint(split.images * 255).astype(np.uint8) for name, split in parts.items()}
    distinct = {name: {sha256(i.data).digest() for i in images} for name, images in pixels.items()}
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
