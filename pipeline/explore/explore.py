"""Stage explore: figures and summary statistics of the splits.

pandas and matplotlib are imported in functions: every stage imports this module for its settings.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.data.splits import Split

REPORTS = Path("reports/data")
CHANNELS = ("red", "green", "blue")


class Explore(params_file.Section):
    """`seed` selects the training images in the sample figures."""

    seed: params_file.Seed
    images_per_class: Annotated[int, pydantic.Field(ge=1, le=20)]


def main(arguments: list[str]) -> None:
    """Write the figures and the summary of data/processed to reports/data."""
    from pipeline.explore import figures

    settings = params_file.section(params_file.read(), "explore", Explore)
    names = classes.read()
    train = splits.read("train")
    others = {name: splits.read(name, like=train) for name in splits.NAMES[1:]}
    summary = summarize({"train": train, **others}, names)
    figures.draw_samples(train, names, settings.seed, REPORTS / "samples.png")
    figures.draw_samples_by_class(
        train, names, settings.seed, settings.images_per_class, REPORTS / "by_class.png"
    )
    figures.draw_class_counts(summary["splits"], REPORTS / "classes.png")
    files.write_json(REPORTS / "summary.json", summary)
    files.write_text(REPORTS / "summary.md", to_markdown(summary))


def summarize(parts: Mapping[str, Split], names: Sequence[str]) -> dict[str, Any]:
    """Statistics per split and in total, and exact duplicates, ready for JSON.

    `names` are those of the classes; PipelineError when the labels have more or fewer.
    """
    width = next(iter(parts.values())).labels.shape[1]
    if len(names) != width:
        raise PipelineError(
            f"data/processed/classes.txt: expected {width} names, as the labels have classes, "
            f"found {len(names)}; run `dvc repro preprocess` to make them again"
        )
    pixels = {name: to_uint8(split.images) for name, split in parts.items()}
    labels = [split.labels for split in parts.values()]
    return {
        "splits": {
            name: {
                "images": len(split.images),
                "image_shape": list(split.images.shape[1:]),
                "image_dtype": str(split.images.dtype),
                "label_shape": list(split.labels.shape[1:]),
                "label_dtype": str(split.labels.dtype),
            }
            | describe([pixels[name]], [split.labels], names)
            for name, split in parts.items()
        },
        "total": describe(pixels.values(), labels, names),
        "duplicates": count_duplicates(pixels),
    }


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images float32 (N, S, S, 3) of values n/255 as uint8: sums of integers are exact."""
    return np.multiply(images, 255, out=np.empty(images.shape, np.uint8), casting="unsafe")


def describe(
    images: Iterable[np.ndarray], labels: Iterable[np.ndarray], names: Sequence[str]
) -> dict[str, Any]:
    """Statistics of one or more splits: their images uint8 (N, S, S, 3) and labels (N, K)."""
    histograms = np.sum([count_levels(array) for array in images], axis=0)
    counts = np.sum([np.count_nonzero(array, axis=0) for array in labels], axis=0)
    levels = np.flatnonzero(histograms.any(axis=0)).astype(np.uint8) / np.float32(255)
    return {
        "images": int(counts.sum()),
        "minimum": float(levels[0]),
        "maximum": float(levels[-1]),
        "missing_values": 0,  # splits.read raises PipelineError for NaN
        "images_per_class": dict(zip(names, counts.tolist(), strict=True)),
        "channels": dict(zip(CHANNELS, map(describe_channel, histograms), strict=True)),
    }


def count_levels(pixels: np.ndarray) -> np.ndarray:
    """Histograms int64 (3 channels, 256 levels) of `pixels` uint8 (N, S, S, 3)."""
    return np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])


def describe_channel(histogram: np.ndarray) -> dict[str, float]:
    """Mean and population standard deviation in units of [0, 1] of a `histogram` (256,)."""
    # Sums as Python's integers: their products exceed 64 bits.
    count, total, squares = (int(histogram @ np.arange(256) ** power) for power in range(3))
    return {
        "mean": round(total / (255 * count), 6),
        "standard_deviation": round(math.sqrt(count * squares - total**2) / (255 * count), 6),
    }


def count_duplicates(pixels: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Exact copies among the images uint8 (N, S, S, 3) of each split, by their BLAKE2 hashes.

    `within` counts images that repeat an earlier one of the same split, `across` the distinct
    images that two splits share, `total` the images that repeat an earlier one of any split.
    """
    distinct = {
        name: {hashlib.blake2b(image.data, digest_size=16).digest() for image in images}
        for name, images in pixels.items()
    }
    return {
        "within": {name: len(images) - len(distinct[name]) for name, images in pixels.items()},
        "across": {
            f"{one} and {other}": len(distinct[one] & distinct[other])
            for one, other in combinations(pixels, 2)
        },
        "total": sum(map(len, pixels.values())) - len(set().union(*distinct.values())),
    }


def to_markdown(summary: Mapping[str, Any]) -> str:
    """The summary as a table with a column per split and one for the total."""
    import pandas as pd

    columns = {**summary["splits"], "total": summary["total"]}
    within, across, total = summary["duplicates"].values()
    rows = [
        _format_rows(statistics, copies)
        for statistics, copies in zip(columns.values(), [*within.values(), total], strict=True)
    ]
    labels = [label for label, _ in rows[0]]
    cells = {name: [cell for _, cell in row] for name, row in zip(columns, rows, strict=True)}
    table = pd.DataFrame(cells, index=labels).to_markdown(
        disable_numparse=True, colalign=("left", *["right"] * len(columns))
    )
    first = next(iter(columns.values()))
    shape = " x ".join(map(str, first["image_shape"]))
    shared = ", ".join(f"{pair} {count}" for pair, count in across.items())
    return (
        f"# The data\n\nImages {shape} ({first['image_dtype']}), "
        f"labels {first['label_shape'][0]} one-hot values ({first['label_dtype']}).\n\n"
        f"{table}\n\nImages in two splits: {shared}."
    )


def _format_rows(statistics: Mapping[str, Any], copies: int) -> list[tuple[str, str]]:
    """The label and the cell of each row, for one column."""
    classes = statistics["images_per_class"]
    ratio = max(classes.values()) / min(classes.values())
    return [
        ("images", f"{statistics['images']:,}"),
        ("minimum", f"{statistics['minimum']:g}"),
        ("maximum", f"{statistics['maximum']:g}"),
        ("missing values", f"{statistics['missing_values']}"),
        ("exact copies of an earlier image", f"{copies}"),
        *((name.replace("|", "\\|"), f"{count:,}") for name, count in classes.items()),
        ("largest class : smallest", f"{ratio:.1f} : 1"),
        *(
            (
                f"{name}, mean ± standard deviation",
                "{mean:.6f} ± {standard_deviation:.6f}".format(**channel),
            )
            for name, channel in statistics["channels"].items()
        ),
    ]
