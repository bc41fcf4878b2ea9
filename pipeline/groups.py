"""The runs of a variant: the same settings, trained from different seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.results import Result


@dataclass(frozen=True)
class Group:
    """One or more runs of a variant; it has the name of the first."""

    runs: tuple[Result, ...]

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        return self.first.variant

    @property
    def first(self) -> Result:
        """The run that stands for all where a figure can show only one."""
        return self.runs[0]

    def mean(self, metric: str) -> float:
        """The mean of one of the metrics over the runs."""
        return float(np.mean(self._values(metric)))

    def deviation(self, metric: str) -> float:
        """The sample standard deviation of one of the metrics; NaN for a single run."""
        return float(np.std(self._values(metric), ddof=1)) if len(self.runs) > 1 else float("nan")

    def best_epochs(self) -> list[int]:
        """By run, the first epoch of the highest validation accuracy; none without validation."""
        histories = [run.history for run in self.runs if run.validated]
        return [int(found["epoch"][found["val_accuracy"].idxmax()]) for found in histories]

    def best_val_accuracy(self) -> float:
        """The mean over the runs of the highest validation accuracy; NaN without validation."""
        return float(np.mean([run.history["val_accuracy"].max() for run in self.runs]))

    def _values(self, metric: str) -> list[float]:
        return [getattr(run.metrics, metric) for run in self.runs]


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


def differences(groups: Sequence[Group], confidence: float) -> pd.DataFrame:
    """A row for each two groups, the more accurate first: by how much, and whether it is sure.

    `p_value` is the greatest of all pairs of their runs, times the number of rows (Bonferroni, at
    most 1), as so many comparisons are bound to find something; `beats` says whether it is below
    1 - `confidence` and the same group is ahead in every pair of runs.
    """
    ranked = sorted(groups, key=lambda group: -group.mean("accuracy"))
    pairs = list(combinations(ranked, 2))
    rows = []
    for better, worse in pairs:
        tests = list(product(better.runs, worse.runs))
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
    columns = ["better", "worse", "difference", "p_value", "beats"]
    return pd.DataFrame(rows, columns=columns)


def firsts(groups: Iterable[Group]) -> list[Result]:
    """The run of each group that figures show."""
    return [group.first for group in groups]
