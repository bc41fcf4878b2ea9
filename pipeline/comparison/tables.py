"""The tables of the comparison and of the differences, and their statistics."""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.comparison.results import Result

# Further metrics of pipeline/evaluation/metrics.py, each a column under this heading.
METRICS = {
    "accuracy_no_tta": "without TTA",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "rejection_rate": "rejected",
}


def comparison_table(
    groups: Sequence[Sequence[Result]], published: pd.DataFrame | None, confidence: float
) -> pd.DataFrame:
    """A row per group of seeds, named after the first; figures are means over the seeds.

    Published figures, and the differences ours minus theirs, are NaN for a variant that `published`
    lacks. Without `published` these columns are left out.
    """
    rows = []
    for seeds in groups:
        metrics = pd.DataFrame([seed.metrics.model_dump() for seed in seeds])
        mean = metrics.mean()
        low, high = wilson_interval(mean["accuracy"], len(seeds[0].predictions), confidence)
        row = {"variant": seeds[0].variant, "seeds": len(seeds), "accuracy": mean["accuracy"]}
        row["accuracy_deviation"] = metrics["accuracy"].std()  # NaN for a single seed
        row |= {"accuracy_low": low, "accuracy_high": high, "loss": mean["loss"]}
        rows.append(row | {**mean[list(METRICS)], "parameters": seeds[0].metrics.parameters})
    table = pd.DataFrame(rows)
    if published is not None:
        for name in ("accuracy", "loss"):
            table[f"published_{name}"] = table["variant"].map(published[name])
            table[f"{name}_difference"] = table[name] - table[f"published_{name}"]
    return table


def comparison_markdown(table: pd.DataFrame, confidence: float) -> str:
    """The result of `comparison_table` with four decimals."""
    templates = {
        "test accuracy": "{accuracy:.4f} ± {accuracy_deviation:.4f}",
        f"{100 * confidence:g} % interval": "{accuracy_low:.4f} to {accuracy_high:.4f}",
        "published (difference)": "{published_accuracy:.4f} ({accuracy_difference:+.4f})",
        "test loss": "{loss:.4f}",
        "published loss (difference)": "{published_loss:.4f} ({loss_difference:+.4f})",
        **{heading: f"{{{metric}:.4f}}" for metric, heading in METRICS.items()},
        "parameters": "{parameters:,}",
    }
    if "published_accuracy" not in table:
        del templates["published (difference)"], templates["published loss (difference)"]
    cells = {heading: _cells(table, template) for heading, template in templates.items()}
    shown = table[["variant", "seeds"]].assign(**cells)
    return shown.to_markdown(index=False, disable_numparse=True, stralign="right")


def differences_table(groups: Sequence[Sequence[Result]], confidence: float) -> pd.DataFrame:
    """A row per pair of ranked groups, the more accurate first, with McNemar's test.

    `p_value` is the largest over all pairs of seeds, with Bonferroni correction for the number of
    rows. `significant`: it is below 1 - `confidence` and that the more accurate group is ahead
    in every pair of seeds.
    """
    pairs = list(combinations(groups, 2))
    rows = []
    for better, worse in pairs:
        seeds = list(product(better, worse))
        p_value = max(mcnemar_p_value(one.correct, other.correct) for one, other in seeds)
        ahead = all(one.metrics.accuracy > other.metrics.accuracy for one, other in seeds)
        corrected = min(1.0, p_value * len(pairs))
        difference = mean_accuracy(better) - mean_accuracy(worse)
        significant = ahead and corrected < 1 - confidence
        rows.append((better[0].variant, worse[0].variant, difference, corrected, significant))
    return pd.DataFrame(rows, columns=["better", "worse", "difference", "p_value", "significant"])


def _cells(table: pd.DataFrame, template: str) -> list[str]:
    """Each row formatted by `template`, without an unknown deviation; blank without the value."""
    cells = [template.format_map(row).removesuffix(" ± nan") for row in table.to_dict("records")]
    return ["" if "nan" in cell else cell for cell in cells]


def mean_accuracy(seeds: Sequence[Result]) -> float:
    """The mean test accuracy of a variant's `seeds`."""
    return float(np.mean([result.metrics.accuracy for result in seeds]))


def wilson_interval(share: float, trials: int, confidence: float) -> tuple[float, float]:
    """The two-sided confidence interval, in [0, 1], of a binomial share seen in `trials` (>= 1).

    `share` is rounded to a whole number of successes, as a mean over seeds need not be one.
    Source: Wilson, Probable Inference, 1927, without continuity correction.
    """
    test = stats.binomtest(round(share * trials), trials)
    return test.proportion_ci(confidence, method="wilson")


def mcnemar_p_value(one: np.ndarray, other: np.ndarray) -> float:
    """The two-sided p-value of McNemar's exact test that two classifiers are equally accurate.

    `one` and `other`, bool (N,), say which of the same images each classifies correctly. Source:
    McNemar, Note on the sampling error of the difference between correlated proportions, 1947.
    """
    only_one, discordant = int((one & ~other).sum()), int((one != other).sum())
    return float(stats.binomtest(only_one, discordant).pvalue) if discordant else 1.0
