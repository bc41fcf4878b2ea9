"""Stage compare: all variants in tables and figures, beside the study's published figures."""

import itertools
from pathlib import Path

from pipeline.comparison import plots, statistics, tables
from pipeline.comparison.results import read_published, read_results
from pipeline.core import files
from pipeline.core.params import lookup, read_params, read_section
from pipeline.evaluation.metrics import CSV

REPORTS = Path("reports")
PUBLISHED = Path("pipeline/comparison/published.csv")


def main(_: list[str]) -> None:
    """Compare the variants of params.yaml by their results in reports/variants."""
    params = read_params()
    confidence = read_section(params, "compare.confidence_level", float)
    bins = read_section(params, "evaluate.calibration_bins", int)
    names = statistics.group_seeds(lookup(params, "variants"))
    results = {result.variant: result for result in read_results(itertools.chain(*names))}
    groups = [[results[name] for name in group] for group in names]
    groups.sort(key=statistics.mean_accuracy, reverse=True)
    is_cifar10 = lookup(params, "dataset.kind") == "cifar10"
    published = read_published(PUBLISHED) if is_cifar10 else None
    comparison = tables.comparison_table(groups, published, confidence)
    differences = tables.differences_table(groups, confidence)
    files.write_text(REPORTS / "comparison.csv", comparison.to_csv(**CSV))
    files.write_text(REPORTS / "comparison.md", tables.comparison_markdown(comparison, confidence))
    files.write_text(REPORTS / "differences.csv", differences.to_csv(**CSV))
    files.write_text(REPORTS / "differences.md", tables.differences_markdown(differences))
    first_seeds = [group[0] for group in groups]
    plots.draw_accuracy(REPORTS / "accuracy.png", comparison.set_index("variant"), confidence)
    plots.draw_learning_curves(REPORTS / "curves.png", first_seeds)
    plots.draw_confusion(REPORTS / "confusion.png", first_seeds)
    plots.draw_reliability(REPORTS / "reliability.png", first_seeds, bins)
