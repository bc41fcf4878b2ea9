"""The gallery of a variant's most confident misclassified test images."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import plotting

COLUMNS = 5
CELL = 1.8  # inches: two lines of text fit above an image


def most_confident_errors(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` misclassified images of a prediction table, the most confident first."""
    errors = predictions[predictions["actual"] != predictions["predicted"]]
    return errors.sort_values("confidence", ascending=False, kind="stable").head(count)


def draw_gallery(
    path: Path, variant: str, images: np.ndarray, predictions: pd.DataFrame, count: int
) -> None:
    """A grid of at most `count` of the `images`, float32 (N, S, S, 3) in [0, 1], as the PNG `path`.

    `predictions` is their prediction table.
    """
    errors = most_confident_errors(predictions, count)
    rows = max(1, math.ceil(len(errors) / COLUMNS))
    size = (COLUMNS * CELL, rows * (CELL + 0.4) + 0.6)
    grid = {"nrows": rows, "ncols": COLUMNS, "squeeze": False}
    with plotting.figure(path, figsize=size, **grid) as (figure, axes):
        figure.suptitle(
            f"{variant}: the {len(errors)} most confident misclassified test images\n"
            "predicted class and its probability, true class"
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, error in zip(axes.flat, errors.itertuples(), strict=False):
            axis.imshow(images[error.Index], interpolation="nearest")
            title = f"{error.predicted} {error.confidence:.2%}\ntrue: {error.actual}"
            axis.set_title(title, fontsize=9)
