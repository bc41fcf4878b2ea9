"""Which test images the page shows."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.page.examples import COLUMNS


def choosable(
    table: pd.DataFrame, pairs: Sequence[tuple[int, int, int]] | None, mistakes: int
) -> pd.DataFrame:
    """The rows of the examples that the page can show: all of them where it has a matrix.

    Else those of the `pairs`, and the most confident `mistakes`.
    """
    if pairs is None:
        return table
    told = pd.MultiIndex.from_frame(table[["actual", "predicted"]]).isin([p[:2] for p in pairs])
    wrong = table[table["actual"] != table["predicted"]]
    sure = wrong.sort_values("confidence", ascending=False, kind="stable").index[:mistakes]
    return table[told | table.index.isin(sure)]


def shown(tables: Iterable[pd.DataFrame]) -> list[int]:
    """The test images in any of the `tables`, each once, in their order."""
    return sorted({int(index) for table in tables for index in table["index"]})


def placed(table: pd.DataFrame, images: Sequence[int]) -> list[list[float]]:
    """The rows of `table` with, for the index in the test set, the place among `images`."""
    place = {index: number for number, index in enumerate(images)}
    return [
        [place[int(index)], int(actual), int(predicted), round(float(confidence), 4)]
        for index, actual, predicted, confidence in table[list(COLUMNS)].itertuples(index=False)
    ]


def samples(labels: np.ndarray, each: int, most: int) -> list[int]:
    """The first `each` test images of every class, class by class; `labels` are (N,).

    At most so many of all: then the classes take turns.
    """
    found = [np.flatnonzero(labels == k)[:each] for k in range(labels.max() + 1)]
    turns = sorted((turn, k) for k, images in enumerate(found) for turn in range(len(images)))
    return [int(found[k][turn]) for turn, k in sorted(turns[:most], key=lambda one: one[::-1])]
