"""What the data holds, in exact numbers: a pure summary of the splits."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.data.splits import Split

CHANNELS = ("red", "green", "blue")


def summarize(parts: Mapping[str, Split], names: Sequence[str]) -> dict[str, Any]:
    """Facts per split and in total, and exact duplicates, of the named splits; ready for JSON.

    `names` are those of the classes. Raises PipelineError when there are not so many, or an image
    holds anything but 255ths.
    """
    classes = next(iter(parts.values())).labels.shape[1]
    if len(names) != classes:
        raise PipelineError(
            f"data/processed: expected {classes} names of classes, as the labels have, found "
            f"{len(names)}; run `dvc repro preprocess` to make them again"
        )
    values = {name: levels(split.images) for name, split in parts.items()}
    counts = {name: histogram(own) for name, own in values.items()}
    facts = {name: describe(split, counts[name], names) for name, split in parts.items()}
    return {
        "splits": facts,
        "total": add_up(list(facts.values()), sum(counts.values(), np.zeros((), np.int64))),
        "duplicates": duplicates({name: digests(own) for name, own in values.items()}),
    }


def levels(images: np.ndarray) -> np.ndarray:
    """The 8-bit values uint8 (N, S, S, 3) behind images float32 (N, S, S, 3) in [0, 1].

    Statistics and comparisons of these integers are exact, and so the same on every machine; sums
    of floats are not. Raises PipelineError when an image holds anything but a 255th.
    """
    values = np.empty(images.shape, np.uint8)
    for image, value in zip(images, values, strict=True):  # image by image: stays in the cache
        value[...] = image * 255  # float32 gives all 256 levels back exactly
        if not np.array_equal(value / np.float32(255), image):
            raise PipelineError(
                "data/processed: expected images of 255ths, found other values; "
                "run `dvc repro preprocess` to make them again"
            )
    return values


def histogram(values: np.ndarray) -> np.ndarray:
    """How often each level occurs: int64 (3 channels, 256) for `values` uint8 (N, S, S, 3)."""
    return np.stack(
        [np.bincount(values[..., channel].ravel(), minlength=256) for channel in range(3)]
    )


def channel_statistics(counts: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean and population standard deviation per channel, in units of [0, 1], six decimals.

    `counts` is what `histogram` gives. The sums are exact integers.
    """
    statistics = {}
    for channel, row in zip(CHANNELS, counts.tolist(), strict=True):
        pixels = sum(row)
        total = sum(level * count for level, count in enumerate(row))
        squares = sum(level**2 * count for level, count in enumerate(row))
        deviation = math.sqrt(pixels * squares - total**2) / (255 * pixels)
        statistics[channel] = {
            "mean": round(total / (255 * pixels), 6),
            "standard_deviation": round(deviation, 6),
        }
    return statistics


def describe(split: Split, counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Shapes, dtypes, range, missing values, images per class and channels of one split."""
    images, labels = split
    per_class = np.count_nonzero(labels, axis=0).tolist()
    return {
        "images": len(images),
        "image_shape": list(images.shape[1:]),
        "image_dtype": str(images.dtype),
        "label_shape": list(labels.shape[1:]),
        "label_dtype": str(labels.dtype),
        "minimum": float(images.min()),
        "maximum": float(images.max()),
        "missing_values": int(np.isnan(images).sum() + np.isnan(labels).sum()),
        "images_per_class": dict(zip(names, per_class, strict=True)),
        "channels": channel_statistics(counts),
    }


def add_up(facts: list[dict[str, Any]], counts: np.ndarray) -> dict[str, Any]:
    """The facts of all splits as one; `counts` is the sum of their histograms."""
    return {
        "images": sum(fact["images"] for fact in facts),
        "minimum": min(fact["minimum"] for fact in facts),
        "maximum": max(fact["maximum"] for fact in facts),
        "missing_values": sum(fact["missing_values"] for fact in facts),
        "images_per_class": {
            name: sum(fact["images_per_class"][name] for fact in facts)
            for name in facts[0]["images_per_class"]
        },
        "channels": channel_statistics(counts),
    }


def digests(values: np.ndarray) -> list[bytes]:
    """A 16-byte BLAKE2 hash of the bytes of every image, uint8 (N, S, S, 3)."""
    return [hashlib.blake2b(image.data, digest_size=16).digest() for image in values]


def duplicates(hashes: Mapping[str, list[bytes]]) -> dict[str, Any]:
    """How many images are exact copies, judged by the hashes of every split's images.

    `within` counts images that repeat an earlier one of the same split, `across` the distinct
    images that two splits share, `total` the images that repeat an earlier one of any split.
    """
    distinct = {name: set(own) for name, own in hashes.items()}
    return {
        "within": {name: len(own) - len(distinct[name]) for name, own in hashes.items()},
        "across": {
            f"{one} and {other}": len(distinct[one] & distinct[other])
            for one, other in combinations(hashes, 2)
        },
        "total": sum(map(len, hashes.values())) - len(set().union(*distinct.values())),
    }
