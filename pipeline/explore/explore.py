"""Stage explore: figures and summary statistics of the splits.

pandas and matplotlib are imported in functions: every stage imports this module for its settings.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic

from pipeline.core import files, splits
from pipeline.core.params import ConfigModel, Seed, read_params, read_section
from pipeline.core.splits import Split, read_class_names, read_split

REPORTS = Path("reports/data")
CHANNELS = ("red", "green", "blue")


class Explore(ConfigModel):
    """`seed` selects the training images in the sample figures."""

    seed: Seed
    images_per_class: Annotated[int, pydantic.Field(ge=1, le=20)]


def main(arguments: list[str]) -> None:
    """Write the figures and the summary of data/processed to reports/data."""
    from pipeline.explore import figures

    settings = read_section(read_params(), "explore", Explore)
    names = read_class_names()
    train = read_split("train")
    others = {name: read_split(name, like=train) for name in splits.NAMES[1:]}
    summary = summarize({"train": train, **others}, names)
    figures.draw_samples(train, names, settings.seed, REPORTS / "samples.png")
    figures.draw_samples_by_class(
        train, names, settings.seed, settings.images_per_class, REPORTS / "by_class.png"
    )
    figures.draw_class_counts(summary["splits"], REPORTS / "classes.png")
    files.write_json(REPORTS / "summary.json", summary)
    files.write_text(REPORTS / "summary.md", to_markdown(summary))


def summarize(parts: Mapping[str, Split], names: Sequence[str]) -> dict[str, Any]:
    """Statistics per split and in total, and exact duplicates; `names` are those of the classes."""
    pixels = {name: np.rint(split.images * 255).astype(np.uint8) for name, split in parts.items()}
    labels = np.concatenate([split.labels for split in parts.values()])
    return {
        "splits": {
            name: {
                "images": len(split.images),
                "image_shape": list(split.images.shape[1:]),
                "image_dtype": str(split.images.dtype),
                "label_shape": list(split.labels.shape[1:]),
                "label_dtype": str(split.labels.dtype),
            }
            | describe(pixels[name], split.labels, names)
            for name, split in parts.items()
        },
        "total": describe(np.concatenate(list(pixels.values())), labels, names),
        "duplicates": count_duplicates(pixels),
    }


def describe(pixels: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Statistics of images uint8 (N, S, S, 3) and labels (N, K), in units of [0, 1]."""
    counts = np.count_nonzero(labels, axis=0).tolist()
    return {
        "images": len(pixels),
        "minimum": float(pixels.min() / np.float32(255)),
        "maximum": float(pixels.max() / np.float32(255)),
        "images_per_class": dict(zip(names, counts, strict=True)),
        "channels": {
            channel: {
                "mean": round(float(levels.mean()) / 255, 6),
                "standard_deviation": round(float(levels.std()) / 255, 6),
            }
            for channel, levels in zip(CHANNELS, np.moveaxis(pixels, -1, 0), strict=True)
        },
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
    rows = {
        name: _format_rows(statistics, copies)
        for (name, statistics), copies in zip(
            columns.items(), [*within.values(), total], strict=True
        )
    }
    labels = [label for label, _ in rows["total"]]
    cells = {name: [cell for _, cell in column] for name, column in rows.items()}
    table = pd.DataFrame(cells, index=labels).to_markdown(
        disable_numparse=True, colalign=("left", *["right"] * len(columns))
    )
    first = summary["splits"]["train"]
    shape = " x ".join(map(str, first["image_shape"]))
    shared = ", ".join(f"{pair} {count}" for pair, count in across.items())
    return (
        f"# The data\n\nImages {shape} ({first['image_dtype']}), "
        f"labels {first['label_shape'][0]} one-hot values ({first['label_dtype']}).\n\n"
        f"{table}\n\nImages in two splits: {shared}."
    )


def _format_rows(statistics: Mapping[str, Any], copies: int) -> list[tuple[str, str]]:
    """The label and the cell of each row, for one column."""
    class_counts = statistics["images_per_class"]
    ratio = max(class_counts.values()) / min(class_counts.values())
    return [
        ("images", f"{statistics['images']:,}"),
        ("minimum", f"{statistics['minimum']:g}"),
        ("maximum", f"{statistics['maximum']:g}"),
        ("exact copies of an earlier image", f"{copies}"),
        *((name.replace("|", "\\|"), f"{count:,}") for name, count in class_counts.items()),
        ("largest class : smallest", f"{ratio:.1f} : 1"),
        *(
            (
                f"{name}, mean ± standard deviation",
                "{mean:.6f} ± {standard_deviation:.6f}".format(**channel),
            )
            for name, channel in statistics["channels"].items()
        ),
    ]
