"""The gallery of a variant's most confident mistakes."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.report import figures

COLUMNS = 5
INCHES = 1.8  # of a picture's frame: two lines of text fit above it


def most_confident(labels: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """Indices int64 of at most `count` wrong predictions, the most confident first.

    `labels` are true class indices (N,), `probabilities` float (N, K).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order][:count]


def draw(
    path: Path,
    variant: str,
    *,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    count: int,
) -> None:
    """A grid of at most `count` images float32 (N, S, S, 3) in [0, 1] as the PNG `path`."""
    chosen = most_confident(labels, probabilities, count)
    rows = max(1, math.ceil(len(chosen) / COLUMNS))
    size = (COLUMNS * INCHES, rows * (INCHES + 0.4) + 0.6)
    with figures.drawing(path, nrows=rows, ncols=COLUMNS, figsize=size, squeeze=False) as (
        figure,
        axes,
    ):
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, index in zip(axes.flat, chosen, strict=False):
            guess = probabilities[index].argmax()
            axis.imshow(images[index], interpolation="nearest")
            axis.set_title(
                f"{classes[guess]} {probabilities[index, guess]:.2%}\nis {classes[labels[index]]}",
                fontsize=9,
                parse_math=False,  # a name may hold a $
            )
        figure.suptitle(
            f"{variant}: its {len(chosen)} most confident mistakes\n"
            "above each test image the predicted class with its probability, then the true class"
            if len(chosen)
            else f"{variant}: no mistakes on the test set"
        )
