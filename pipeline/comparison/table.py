"""The comparison: a row per group of variants, for programs and for people."""

import math
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
from scipy import stats

from pipeline.comparison.groups import Group, ranked
from pipeline.report import metrics

# Metrics (pipeline/evaluate/metrics.py) that have a column of their own, by their headings; the
# test accuracy and the loss stand before them.
COLUMNS = {
    "one_view_accuracy": "one view",
    "top2_accuracy": "top-2 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "told_unlikely": "told unlikely",
}


def wilson_interval(share: float, trials: int, confidence: float) -> tuple[float, float]:
    """The two-sided interval, in [0, 1], of a binomial share seen in `trials` (at least 1).

    The mean share of several seeds need not be a whole number of images: the nearest one counts.
    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927,
    without continuity correction. Unlike the normal approximation it never leaves [0, 1].
    """
    test = stats.binomtest(round(share * trials), trials)
    interval = test.proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def table(
    groups: Sequence[Group], published: pd.DataFrame | None, confidence: float
) -> pd.DataFrame:
    """A row per group, the highest test accuracy first.

    Figures are means over a group's seeds. Published figures and the differences, ours minus
    theirs, are NaN for a variant that `published` (results.py) lacks; where that is None, nothing
    was published on these data, and there are no such columns.
    """
    rows = []
    for group in ranked(groups):
        accuracy = group.mean("accuracy")
        low, high = wilson_interval(accuracy, len(group.first.right), confidence)
        rows.append(
            {
                "variant": group.name,
                "seeds": len(group.results),
                "accuracy": accuracy,
                "accuracy_deviation": group.deviation("accuracy"),
                "accuracy_low": low,
                "accuracy_high": high,
                "loss": group.mean("loss"),
                **{metric: group.mean(metric) for metric in COLUMNS},
                "parameters": group.first.metrics.parameters,
                "best_val_accuracy": group.best_val_accuracy(),
                "best_val_epochs": " ".join(map(str, group.best_epochs())),
            }
        )
    ours = pd.DataFrame(rows)
    if published is not None:
        for name in ("accuracy", "loss"):
            ours[f"published_{name}"] = ours["variant"].map(published[name])
            ours[f"{name}_difference"] = ours[name] - ours[f"published_{name}"]
    return ours


def markdown(comparison: pd.DataFrame, confidence: float) -> str:
    """The result of `table` for people: four decimals, blank where there is no figure."""
    columns = dict(COLUMNS)
    if not metrics.says_more(comparison["balanced_accuracy"], comparison["accuracy"]):
        del columns["balanced_accuracy"]
    rows = []
    for row in comparison.to_dict("records"):
        best = f"{row['best_val_accuracy']:.4f} ({row['best_val_epochs']})"
        rows.append(
            {
                "variant": row["variant"],
                "seeds": str(row["seeds"]),
                "test accuracy": f"{row['accuracy']:.4f}{_known(row['accuracy_deviation'], ' ± ')}",
                f"{100 * confidence:g} % interval": (
                    f"{row['accuracy_low']:.4f} to {row['accuracy_high']:.4f}"
                ),
                **_published(row, "accuracy", "published (difference)"),
                "test loss": f"{row['loss']:.4f}",
                **_published(row, "loss", "published loss (difference)"),
                **{heading: f"{row[metric]:.4f}" for metric, heading in columns.items()},
                "best validation accuracy (epoch)": best if row["best_val_epochs"] else "",
                "parameters": f"{row['parameters']:,}",
            }
        )
    shown = pd.DataFrame(rows)
    align = ("left", *["right"] * (len(shown.columns) - 1))
    return shown.to_markdown(index=False, disable_numparse=True, colalign=align)


def _published(row: Mapping[Hashable, float], name: str, heading: str) -> dict[str, str]:
    """The cell under the `heading`, none where nothing was published on these data."""
    if f"published_{name}" not in row:
        return {}
    published, difference = row[f"published_{name}"], row[f"{name}_difference"]
    return {heading: "" if math.isnan(published) else f"{published:.4f} ({difference:+.4f})"}


def _known(value: float, before: str) -> str:
    return "" if math.isnan(value) else f"{before}{value:.4f}"
