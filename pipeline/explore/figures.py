"""The figures of explore: how many images there are of each class, and what they look like."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.splits import Split
from pipeline.report import figures

ROWS, COLUMNS = 2, 5  # of the sample figure, as in the study
# Told apart by grey and hatching, in the order of splits.NAMES.
BARS: tuple[dict[str, str], ...] = (
    {"color": "#333333"},
    {"color": "#FFFFFF", "edgecolor": "#333333", "hatch": "////"},
    {"color": "#AAAAAA", "edgecolor": "#333333"},
)
# More classes, or longer names, and the names below the bars would run into each other.
MOST_UPRIGHT, LONGEST_UPRIGHT = 10, 12
STRIPS = 14  # a column of strips, about as high as a screen


def pick(count: int, seed: int, wanted: int) -> np.ndarray:
    """Indices int64 of `wanted` of `count` images, or of all, drawn without replacement."""
    return np.random.default_rng(seed).choice(count, min(count, wanted), replace=False)


def samples(split: Split, names: Sequence[str], seed: int, path: Path) -> None:
    """A grid of ten random images of `split`, each titled with its class, as the PNG `path`."""
    with figures.drawing(path, nrows=ROWS, ncols=COLUMNS, figsize=(9, 4.2)) as (figure, axes):
        figure.suptitle("Images with Class Labels")
        chosen = pick(len(split.images), seed, ROWS * COLUMNS)
        for panel in axes.flat:
            panel.set_axis_off()
        for panel, index in zip(axes.flat, chosen, strict=False):
            panel.imshow(split.images[index], interpolation="nearest")
            panel.set_title(names[split.labels[index].argmax()], parse_math=False)


def by_class(split: Split, names: Sequence[str], seed: int, each: int, path: Path) -> None:
    """A strip of at most `each` random images of `split` for every class, as the PNG `path`."""
    columns = math.ceil(len(names) / STRIPS)
    rows = math.ceil(len(names) / columns)
    labels = split.labels.argmax(axis=1)
    size = (columns * (0.45 * each + 0.6), 0.72 * rows + 0.5)
    with figures.drawing(path, nrows=rows, ncols=columns, figsize=size, squeeze=False) as (
        figure,
        axes,
    ):
        figure.suptitle("Training images by class")
        for panel in axes.flat:
            panel.set_axis_off()
        for number, (panel, name) in enumerate(zip(axes.T.flat, names, strict=False)):
            own = np.flatnonzero(labels == number)
            shown = split.images[own[pick(len(own), seed, each)]]
            panel.imshow(np.concatenate(shown, axis=1), interpolation="nearest")
            # Fewer images leave room, and are no larger.
            panel.set_xlim(-0.5, each * shown.shape[2] - 0.5)
            panel.set_title(name, loc="left", fontsize="small", pad=2, parse_math=False)


def classes(facts: Mapping[str, Any], path: Path) -> None:
    """Images per class of every split in `facts` (summarize()["splits"]) as bars, to `path`."""
    names = list(next(iter(facts.values()))["images_per_class"])
    upright = len(names) <= MOST_UPRIGHT and max(map(len, names)) <= LONGEST_UPRIGHT
    width = 0.8 / len(facts)  # leaves a fifth of every class's place as a gap
    size = (9, 4.2) if upright else (9, 0.4 * len(names) + 1.5)
    with figures.drawing(path, figsize=size) as (figure, axes):
        for number, ((name, fact), style) in enumerate(zip(facts.items(), BARS, strict=True)):
            start = np.arange(len(names)) - 0.4 + number * width
            counts = list(fact["images_per_class"].values())
            label = f"{name} ({fact['images']:,} images)"
            bars = axes.bar if upright else axes.barh
            bars(start, counts, width, align="edge", label=label, **style)
        along, across = ("x", "y") if upright else ("y", "x")
        axes.set(**{f"{along}ticks": range(len(names)), f"{across}label": "images"})
        axes.set(title="Images per class and split")
        getattr(axes, f"set_{along}ticklabels")(names, parse_math=False)
        axes.grid(visible=False, axis=along)
        if not upright:
            axes.set_ylim(len(names) - 0.5, -0.5)  # the first class on top
        figure.legend(loc="outside lower center", ncols=len(facts), frameon=False)
