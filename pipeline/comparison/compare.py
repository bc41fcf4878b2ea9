"""Stage compare: all variants in tables and figures, beside the study's published figures."""

import itertools
from pathlib import Path

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import plots, statistics, tables
from pipeline.comparison.results import read_published, read_results
from pipeline.comparison.settings import Compare
from pipeline.comparison.statistics import SeedGroup

REPORTS = Path("reports")
PUBLISHED = Path("pipeline/comparison/published.csv")


def main(arguments: list[str]) -> None:
    """Compare the variants of params.yaml by their results in reports/variants."""
    if arguments:
        raise PipelineError("usage: python -m pipeline compare")
    params = params_file.read()
    confidence = params_file.section(params, "compare", Compare).confidence
    names = statistics.group_seeds(params_file.at(params, "variants"))
    results = {result.variant: result for result in read_results(itertools.chain(*names))}
    groups = statistics.rank_groups(
        SeedGroup(tuple(results[name] for name in group)) for group in names
    )
    is_cifar10 = params_file.at(params, "dataset.kind") == "cifar10"
    published = read_published(PUBLISHED) if is_cifar10 else None
    comparison = tables.comparison_table(groups, published, confidence)
    for name, table, to_markdown in (
        ("comparison", comparison, tables.comparison_markdown),
        ("differences", tables.differences_table(groups, confidence), tables.differences_markdown),
        ("classes", tables.classes_table(groups, confidence), tables.classes_markdown),
    ):
        text = table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        files.write_text(REPORTS / f"{name}.csv", text)
        files.write_text(REPORTS / f"{name}.md", to_markdown(table, confidence))
    first_seeds = [group.first for group in groups]
    plots.draw_accuracy(REPORTS / "accuracy.png", comparison.set_index("variant"), confidence)
    plots.draw_learning_curves(REPORTS / "curves.png", first_seeds)
    plots.draw_training(REPORTS / "training.png", first_seeds)
    plots.draw_confusion(REPORTS / "confusion.png", first_seeds)
    plots.draw_reliability(REPORTS / "reliability.png", first_seeds)
