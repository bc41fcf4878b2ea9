"""The figures of explore: images of each class, and how many there are."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import plotting
from pipeline.core.splits import Split

ROWS, COLUMNS = 2, 5  # of the samples, as in the study
STRIPS = 14  # a column of strips, about as high as a screen
# Distinct in greyscale, in the order of splits.NAMES.
BARS: tuple[dict[str, str], ...] = (
    {"color": "#333333"},
    {"color": "#FFFFFF", "edgecolor": "#333333", "hatch": "////"},
    {"color": "#AAAAAA", "edgecolor": "#333333"},
)
LABEL_CHARACTERS = 100  # more, of all class names together, would overlap side by side


def sample_indices(count: int, seed: int, size: int) -> np.ndarray:
    """Indices int64 of `size` of `count` images, or of all, drawn without replacement."""
    return np.random.default_rng(seed).choice(count, min(count, size), replace=False)


def draw_samples(split: Split, names: Sequence[str], seed: int, path: Path) -> None:
    """A grid of ten random images of `split`, each titled with its class, as the PNG `path`."""
    with plotting.figure(path, nrows=ROWS, ncols=COLUMNS, figsize=(9, 4.2)) as (figure, axes):
        figure.suptitle("Images with Class Labels")
        indices = sample_indices(len(split.images), seed, ROWS * COLUMNS)
        for panel in axes.flat:
            panel.set_axis_off()
        for panel, index in zip(axes.flat, indices, strict=False):
            panel.imshow(split.images[index], interpolation="nearest")
            panel.set_title(names[split.labels[index].argmax()], parse_math=False)


def draw_samples_by_class(
    split: Split, names: Sequence[str], seed: int, per_class: int, path: Path
) -> None:
    """A strip of at most `per_class` random images for every class, as the PNG `path`."""
    columns = math.ceil(len(names) / STRIPS)
    rows = math.ceil(len(names) / columns)
    labels = split.labels.argmax(axis=1)
    size = (columns * (0.45 * per_class + 0.6), 0.72 * rows + 0.5)
    grid = {"nrows": rows, "ncols": columns, "squeeze": False}
    with plotting.figure(path, figsize=size, **grid) as (figure, axes):
        figure.suptitle("Training images by class")
        for panel in axes.flat:
            panel.set_axis_off()
        for label, (panel, name) in enumerate(zip(axes.T.flat, names, strict=False)):
            indices = np.flatnonzero(labels == label)
            indices = indices[sample_indices(len(indices), seed, per_class)]
            images = split.images[indices]
            panel.imshow(np.concatenate(images, axis=1), interpolation="nearest")
            panel.set_xlim(-0.5, per_class * images.shape[2] - 0.5)  # the same scale for all
            panel.set_title(name, loc="left", fontsize="small", pad=2, parse_math=False)


def draw_class_counts(statistics: Mapping[str, Any], path: Path) -> None:
    """Images per class of each split in `statistics` (summarize()["splits"]) as bars."""
    names = list(next(iter(statistics.values()))["images_per_class"])
    rotation = 90 if len("".join(names)) > LABEL_CHARACTERS else 0
    width = 0.8 / len(statistics)  # leaves a fifth between two classes
    with plotting.figure(path, figsize=(max(9, 0.3 * len(names)), 4.2)) as (figure, axes):
        for number, ((name, split), style) in enumerate(zip(statistics.items(), BARS, strict=True)):
            start = np.arange(len(names)) - 0.4 + number * width
            label = f"{name} ({split['images']:,} images)"
            counts = list(split["images_per_class"].values())
            axes.bar(start, counts, width, align="edge", label=label, **style)
        axes.set_xticks(range(len(names)), names, rotation=rotation, parse_math=False)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("images")
        axes.set_title("Images per class and split")
        figure.legend(loc="outside lower center", ncols=len(statistics), frameon=False)
