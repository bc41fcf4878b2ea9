"""Statistics of the comparison: means over seeds, Wilson's interval, McNemar's test."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from pipeline.comparison.results import Result


def mean_accuracy(seeds: Sequence[Result]) -> float:
    """The mean test accuracy of a variant's `seeds`."""
    return float(np.mean([result.metrics.accuracy for result in seeds]))


def wilson_interval(share: float, trials: int, confidence: float) -> tuple[float, float]:
    """The two-sided confidence interval, in [0, 1], of a binomial share seen in `trials` (>= 1).

    `share` is rounded to a whole number of successes, as a mean over seeds need not be one.
    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927,
    without continuity correction. Unlike the normal approximation it never leaves [0, 1].
    """
    test = stats.binomtest(round(share * trials), trials)
    return test.proportion_ci(confidence, method="wilson")


def mcnemar_p_value(one: np.ndarray, other: np.ndarray) -> float:
    """The two-sided p-value of McNemar's exact test that two classifiers are equally accurate.

    `one` and `other`, bool (N,), say which of the same images each classifies correctly. Source:
    McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, 1947.
    """
    only_one, discordant = int((one & ~other).sum()), int((one != other).sum())
    return float(stats.binomtest(only_one, discordant).pvalue) if discordant else 1.0
