"""How much of each class the variants find, and how sure that is by the test images of it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.comparison.groups import Group, ranked
from pipeline.comparison.table import wilson_interval
from pipeline.report.markdown import escaped

COLUMNS = ("variant", "class", "test_images", "recall", "recall_low", "recall_high")


def table(groups: Sequence[Group], confidence: float) -> pd.DataFrame:
    """A row per group, the most accurate first, and class: its recall with Wilson's interval.

    The recall is the mean over the group's seeds; NaN for a class without test images.
    """
    rows = []
    for group in ranked(groups):
        hits = np.mean([np.diag(result.confusion) for result in group.results], axis=0)
        images = group.first.confusion.sum(axis=1)
        for name, found, count in zip(group.first.classes, hits, images.tolist(), strict=True):
            recall = found / count if count else float("nan")
            low, high = wilson_interval(recall, count, confidence) if count else (recall, recall)
            rows.append((group.name, name, count, recall, low, high))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def markdown(by_class: pd.DataFrame, confidence: float) -> str:
    """The result of `table` for people: a row a class, its recall a column a variant."""
    cells = [_cell(*found) for found in by_class[list(COLUMNS[3:])].itertuples(index=False)]
    groups = by_class.assign(cell=cells).groupby("variant", sort=False)
    first = next(group for _, group in groups)
    columns = {str(name): group["cell"].tolist() for name, group in groups}
    shown = pd.DataFrame(
        {
            f"recall ({100 * confidence:g} % interval)": first["class"].map(escaped).tolist(),
            "test images": [f"{count:,}" for count in first["test_images"]],
            **columns,
        }
    )
    align = ("left", *["right"] * (len(shown.columns) - 1))
    return shown.to_markdown(index=False, disable_numparse=True, colalign=align)


def _cell(recall: float, low: float, high: float) -> str:
    return "" if np.isnan(recall) else f"{recall:.3f} ({low:.3f} to {high:.3f})"
