"""Stage compare: all variants in one table and four figures, beside what the study published."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pydantic

from pipeline import config, files
from pipeline.errors import PipelineError

if TYPE_CHECKING:  # pandas would slow down the check of params.yaml, which imports this module
    import pandas as pd

    from pipeline.results import Result

REPORTS = Path("reports")
PUBLISHED = Path("pipeline/published.csv")


class Compare(config.Section):
    """How sure the interval on the test accuracy is."""

    confidence: Annotated[float, pydantic.Field(gt=0, lt=1)]


def wilson_interval(share: float, trials: int, confidence: float) -> tuple[float, float]:
    """The two-sided interval, in [0, 1], of a binomial share seen in `trials` (at least 1).

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927,
    without continuity correction. Unlike the normal approximation it never leaves [0, 1].
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    shrink = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrink
    spread = z * (share * (1 - share) / trials + z**2 / (4 * trials**2)) ** 0.5 / shrink
    return max(0.0, centre - spread), min(1.0, centre + spread)


def table(results: list["Result"], published: "pd.DataFrame", confidence: float) -> "pd.DataFrame":
    """A row per variant, the highest test accuracy first, equal ones in the order given.

    Published figures and the differences, ours minus theirs, are NaN for a variant that
    `published` (pipeline/results.py) lacks.
    """
    import pandas as pd

    rows = []
    for result in results:
        metrics = result.metrics
        low, high = wilson_interval(metrics.accuracy, result.test_images, confidence)
        rows.append(
            {
                "variant": result.variant,
                "accuracy": metrics.accuracy,
                "accuracy_low": low,
                "accuracy_high": high,
                "loss": metrics.loss,
                "top2_accuracy": metrics.top2_accuracy,
                "macro_f1": metrics.macro_f1,
                "parameters": metrics.parameters,
                "best_val_accuracy": result.best_val_accuracy,
                "best_val_epoch": result.best_epoch,
            }
        )
    ours = pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable")
    for name in ("accuracy", "loss"):
        ours[f"published_{name}"] = ours["variant"].map(published[name])
        ours[f"{name}_difference"] = ours[name] - ours[f"published_{name}"]
    return ours.reset_index(drop=True)


def markdown(comparison: "pd.DataFrame", confidence: float) -> str:
    """The result of `table` for people: four decimals, blank where the study has no figure."""
    header = (
        "| variant | test accuracy | "
        f"{100 * confidence:g} % interval | published | difference | test loss | published "
        "| difference | top-2 accuracy | macro F1 | best validation accuracy (epoch) "
        "| parameters |"
    )
    lines = [header, "| --- |" + " ---: |" * (header.count("|") - 2)]
    for row in comparison.itertuples():
        cells = (
            row.variant,
            f"{row.accuracy:.4f}",
            f"{row.accuracy_low:.4f} to {row.accuracy_high:.4f}",
            _shown(row.published_accuracy, ".4f"),
            _shown(row.accuracy_difference, "+.4f"),
            f"{row.loss:.4f}",
            _shown(row.published_loss, ".4f"),
            _shown(row.loss_difference, "+.4f"),
            f"{row.top2_accuracy:.4f}",
            f"{row.macro_f1:.4f}",
            f"{row.best_val_accuracy:.4f} ({row.best_val_epoch})",
            f"{row.parameters:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float, form: str) -> str:
    return "" if value != value else format(value, form)  # NaN alone differs from itself


def main(arguments: list[str]) -> None:
    """Compare the variants `arguments`, drawn in this order; writes reports/."""
    if not arguments or len(set(arguments)) < len(arguments):
        raise PipelineError(
            f"compare: expected one or more variants, each once, found {arguments}; "
            "run `python -m pipeline compare VARIANT...`"
        )
    settings = config.section(config.read(), "compare", Compare)
    from pipeline import comparison_curves, comparison_figures, results

    found = [results.read(variant, REPORTS) for variant in arguments]
    published = results.read_published(PUBLISHED)
    comparison = table(found, published, settings.confidence)
    text = comparison.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    files.write_text(REPORTS / "comparison.csv", text)
    files.write_text(REPORTS / "comparison.md", markdown(comparison, settings.confidence))
    comparison_curves.curves(REPORTS / "curves.png", found)
    comparison_curves.training(REPORTS / "training.png", found)
    comparison_figures.accuracy(
        REPORTS / "accuracy.png",
        comparison.set_index("variant").loc[arguments],
        settings.confidence,
    )
    comparison_figures.confusion(REPORTS / "confusion.png", found)
