"""Stage compare: all variants in one table and four figures, beside what the study published."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pydantic

from pipeline import config, files
from pipeline.errors import PipelineError

if TYPE_CHECKING:  # pandas would slow down the check of params.yaml, which imports this module
    import pandas as pd

    from pipeline.groups import Group

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


def table(groups: list["Group"], published: "pd.DataFrame", confidence: float) -> "pd.DataFrame":
    """A row per variant, the highest test accuracy first, equal ones in the order given.

    Figures are means over a variant's runs. Published figures and the differences, ours minus
    theirs, are NaN for a variant that `published` (pipeline/results.py) lacks.
    """
    import pandas as pd

    rows = []
    for group in groups:
        accuracy = group.mean("accuracy")
        low, high = wilson_interval(accuracy, len(group.first.right), confidence)
        epochs = group.best_epochs()
        rows.append(
            {
                "variant": group.name,
                "runs": len(group.runs),
                "accuracy": accuracy,
                "accuracy_deviation": group.deviation("accuracy"),
                "accuracy_low": low,
                "accuracy_high": high,
                "one_view_accuracy": group.mean("one_view_accuracy"),
                "loss": group.mean("loss"),
                "top2_accuracy": group.mean("top2_accuracy"),
                "macro_f1": group.mean("macro_f1"),
                "parameters": group.first.metrics.parameters,
                "best_val_accuracy": group.best_val_accuracy(),
                "best_val_epochs": " ".join(map(str, epochs)),
            }
        )
    ours = pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable")
    for name in ("accuracy", "loss"):
        ours[f"published_{name}"] = ours["variant"].map(published[name])
        ours[f"{name}_difference"] = ours[name] - ours[f"published_{name}"]
    return ours.reset_index(drop=True)


def markdown(comparison: "pd.DataFrame", confidence: float) -> str:
    """The result of `table` for people: four decimals, blank where there is no figure."""
    header = (
        "| variant | runs | test accuracy | "
        f"{100 * confidence:g} % interval | one view | published | difference | test loss "
        "| published | difference | top-2 accuracy | macro F1 | best validation accuracy (epoch) "
        "| parameters |"
    )
    lines = [header, "| --- |" + " ---: |" * (header.count("|") - 2)]
    for row in comparison.itertuples():
        one_view = "" if row.one_view_accuracy == row.accuracy else f"{row.one_view_accuracy:.4f}"
        cells = (
            row.variant,
            f"{row.runs}",
            f"{row.accuracy:.4f}{_shown(row.accuracy_deviation, '.4f', ' ± ')}",
            f"{row.accuracy_low:.4f} to {row.accuracy_high:.4f}",
            one_view,
            _shown(row.published_accuracy, ".4f"),
            _shown(row.accuracy_difference, "+.4f"),
            f"{row.loss:.4f}",
            _shown(row.published_loss, ".4f"),
            _shown(row.loss_difference, "+.4f"),
            f"{row.top2_accuracy:.4f}",
            f"{row.macro_f1:.4f}",
            f"{row.best_val_accuracy:.4f} ({row.best_val_epochs})" if row.best_val_epochs else "",
            f"{row.parameters:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differences_markdown(differences: "pd.DataFrame", confidence: float) -> str:
    """Which variants are surely better than which, of those next to each other in the ranking."""
    lines = [
        f"| the more accurate | the other | difference | p | sure at {100 * confidence:g} % |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    # Sorted by rank, so a variant's first row as the better one is about its next in the ranking.
    for row in differences.drop_duplicates("better").itertuples():
        p_value = "< 0.0001" if row.p_value < 0.0001 else f"{row.p_value:.4f}"
        cells = (row.better, row.worse, f"{row.difference:+.4f}", p_value)
        lines.append(f"| {' | '.join(cells)} | {'yes' if row.beats else 'no'} |")
    return "\n".join(lines)


def _shown(value: float, form: str, before: str = "") -> str:
    return "" if value != value else before + format(value, form)  # NaN differs from itself


def main(arguments: list[str]) -> None:
    """Compare the variants `arguments`, drawn in this order; writes reports/.

    Each is a variant's name, or those of its runs from different seeds, joined by commas.
    """
    names = [argument.split(",") for argument in arguments]
    flat = [name for runs in names for name in runs]
    if not flat or len(set(flat)) < len(flat):
        raise PipelineError(
            f"compare: expected one or more variants, each once, found {arguments}; "
            "run `python -m pipeline compare VARIANT...`"
        )
    settings = config.section(config.read(), "compare", Compare)
    from pipeline import comparison_curves, comparison_figures, groups, results

    found = [groups.Group(tuple(results.read(name, REPORTS) for name in runs)) for runs in names]
    published = results.read_published(PUBLISHED)
    comparison = table(found, published, settings.confidence)
    tested = groups.differences(found, settings.confidence)
    for name, rows in (("comparison", comparison), ("differences", tested)):
        text = rows.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        files.write_text(REPORTS / f"{name}.csv", text)
    files.write_text(REPORTS / "comparison.md", markdown(comparison, settings.confidence))
    files.write_text(REPORTS / "differences.md", differences_markdown(tested, settings.confidence))
    shown = groups.firsts(found)
    comparison_curves.curves(REPORTS / "curves.png", shown)
    comparison_curves.training(REPORTS / "training.png", shown)
    comparison_figures.accuracy(
        REPORTS / "accuracy.png",
        comparison.set_index("variant").loc[[group.name for group in found]],
        settings.confidence,
    )
    comparison_figures.confusion(REPORTS / "confusion.png", shown)
