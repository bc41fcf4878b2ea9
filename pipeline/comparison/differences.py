"""Which differences between variants are sure, and which may be luck."""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.comparison.groups import Group, ranked

COLUMNS = ("better", "worse", "difference", "p_value", "beats")


def paired_p_value(one: np.ndarray, other: np.ndarray) -> float:
    """How likely so unequal a result is if both classifiers are equally good, in [0, 1].

    `one` and `other`, bool (N,), say which of the same images each has right. McNemar's exact
    test: of the images that just one has right, each has half. Source: McNemar, Note on the
    sampling error of the difference between correlated proportions or percentages, 1947.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(stats.binomtest(only_one, only_one + only_other).pvalue)


def table(groups: Sequence[Group], confidence: float) -> pd.DataFrame:
    """A row for each two groups, the more accurate first: by how much, and whether it is sure.

    `p_value` is the greatest of all pairs of their results, times the number of rows (Bonferroni,
    at most 1), as so many comparisons are bound to find something; `beats` says whether it is below
    1 - `confidence` and the same group is ahead in every pair.
    """
    pairs = list(combinations(ranked(groups), 2))
    rows = []
    for better, worse in pairs:
        tests = list(product(better.results, worse.results))
        p_value = max(paired_p_value(one.right, other.right) for one, other in tests)
        ahead = all(one.metrics.accuracy > other.metrics.accuracy for one, other in tests)
        corrected = min(1.0, p_value * len(pairs))
        rows.append(
            {
                "better": better.name,
                "worse": worse.name,
                "difference": better.mean("accuracy") - worse.mean("accuracy"),
                "p_value": corrected,
                "beats": ahead and corrected < 1 - confidence,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def markdown(differences: pd.DataFrame, confidence: float) -> str:
    """The result of `table` for people: each variant against the next in the ranking."""
    # Sorted by rank, so a variant's first row as the better one is about its next in the ranking.
    rows = differences.drop_duplicates("better")
    shown = pd.DataFrame(
        {
            "the more accurate": rows["better"],
            "the other": rows["worse"],
            "difference": [f"{value:+.4f}" for value in rows["difference"]],
            "p": ["< 0.0001" if p < 0.0001 else f"{p:.4f}" for p in rows["p_value"]],
            f"sure at {100 * confidence:g} %": [
                "yes" if beats else "no" for beats in rows["beats"]
            ],
        }
    )
    align = ("left", "left", "right", "right", "left")
    return shown.to_markdown(index=False, disable_numparse=True, colalign=align)
