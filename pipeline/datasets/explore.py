"""Stage explore: a figure and summary statistics of the splits.

pandas and matplotlib are imported in functions: every stage imports this module for its settings.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pydantic
from PIL import Image

from pipeline.core import files, splits
from pipeline.core.params import ConfigModel, Seed, read_params, read_section
from pipeline.core.splits import Split, read_class_names, read_split

REPORTS = Path("reports/data")
ROWS = 14  # of classes in by_class.png, about as high as a screen
HASH_SIZE = (9, 8)  # pixels, of which neighbours in a row give 64 bits
MAX_BITS = 4  # by which the hashes of near-copies differ; of other photos about 32 do
MAX_DIFFERENCE = 10  # levels of 255, the mean over the pixels of a near-copy


class Explore(ConfigModel):
    """`seed` selects the training images that by_class.png shows of each class."""

    seed: Seed
    images_per_class: Annotated[int, pydantic.Field(ge=1, le=20)]


def main(arguments: list[str]) -> None:
    """Write the figure and the summary of data/processed to reports/data."""
    settings = read_section(read_params(), "explore", Explore)
    names = read_class_names()
    train = read_split("train")
    parts = {"train": train, **{name: read_split(name, train) for name in splits.NAMES[1:]}}
    draw_images_by_class(train, names, settings, REPORTS / "by_class.png")
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


def near_copies(images: np.ndarray, others: np.ndarray) -> int:
    """How many of `images` uint8 (N, S, S, 3) have a near-copy among `others`.

    The nearest by difference hash (Krawetz, Kind of Like That, 2013) has nearly the same pixels.
    """
    hashes, known = _difference_hashes(images), _difference_hashes(others)
    count = 0
    for start in range(0, len(images), 1000):
        products = hashes[start : start + 1000] @ known.T  # equal bits less different ones
        rows = np.flatnonzero(products.max(axis=1) >= 64 - 2 * MAX_BITS)
        nearest = others[products[rows].argmax(axis=1)].astype(int)
        differences = np.abs(images[start + rows] - nearest).mean(axis=(1, 2, 3))
        count += int(np.count_nonzero((differences > 0) & (differences <= MAX_DIFFERENCE)))
    return count


def _difference_hashes(images: np.ndarray) -> np.ndarray:
    """The 64 bits of each of `images` as float32 (N, 64), 1 and -1: their products are exact."""
    small = [
        np.asarray(Image.fromarray(image).convert("L").resize(HASH_SIZE, Image.Resampling.BOX))
        for image in images
    ]
    rises = np.diff(np.stack(small).astype(np.int16), axis=2) > 0
    return np.where(rises, 1, -1).reshape(len(images), -1).astype(np.float32)


def summarize(parts: Mapping[str, Split], names: Sequence[str]) -> str:
    """Images per class, copies and channel statistics of each split, as Markdown."""
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
        rows["near-copies in train"] = (
            "" if name == "train" else near_copies(images, pixels["train"])
        )
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
distinct images that both have. Near-copies are other files of a picture, such as thumbnails."""
