"""Stage compare: all variants in tables and figures, beside the study's published figures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.comparison import plots, tables
from pipeline.comparison.results import Result, read_results
from pipeline.comparison.seeds import further_seeds, group_seeds, progress_note
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params, read_section
from pipeline.evaluation.metrics import CALIBRATION_BINS, CSV

REPORTS = Path("reports")
PUBLISHED = Path("pipeline/comparison/published.csv")
NOTEBOOK = Path("pipeline/comparison/notebook.csv")  # measured by benchmarks/bench.py


def main(arguments: list[str]) -> None:
    """Compare variants by their results in reports/variants.

    These are the `arguments`, as long as others have not ended; else all of params.yaml, but for
    further seeds without results.
    """
    params = read_params()
    variants = lookup(params, "variants")
    absent = [name for name in further_seeds(variants) if not paths.metrics(name).exists()]
    names = arguments or [name for name in variants if name not in absent]
    note = progress_note(arguments, variants)
    if absent and not arguments:
        note = f"Without {', '.join(absent)}, which have no current results: `make seeds`"
    confidence = read_section(params, "compare.confidence_level", float)
    results = {result.variant: result for result in read_results(sorted(names))}
    compared = group_seeds({name: variants[name] for name in names})
    groups = [[results[name] for name in group] for group in compared]
    groups.sort(key=tables.mean_accuracy, reverse=True)
    is_cifar10 = lookup(params, "dataset.kind") == "cifar10"
    published = pd.read_csv(PUBLISHED, index_col="variant") if is_cifar10 else None
    comparison = tables.comparison_table(groups, published, confidence)
    differences = tables.differences_table(groups, confidence)
    files.write_text(REPORTS / "comparison.csv", comparison.to_csv(**CSV))
    markdown = tables.comparison_markdown(comparison, confidence)
    files.write_text(REPORTS / "comparison.md", f"{note}\n\n{markdown}" if note else markdown)
    files.write_text(REPORTS / "differences.csv", differences.to_csv(**CSV))
    first_seeds = [group[0] for group in groups]
    plots.draw_accuracy(REPORTS / "accuracy.png", comparison, confidence, note)
    recipes = lookup(params, "recipes")
    smoothed = [v for v in names if recipes[variants[v]["recipe"]]["label_smoothing"]]
    plots.draw_learning_curves(REPORTS / "curves.png", first_seeds, smoothed)
    plots.draw_training_times(REPORTS / "time_to_accuracy.png", training_times(groups, published))
    plots.draw_confusion(REPORTS / "confusion.png", first_seeds)
    plots.draw_reliability(REPORTS / "reliability.png", first_seeds, CALIBRATION_BINS)


def training_times(
    groups: Sequence[Sequence[Result]], published: pd.DataFrame | None
) -> pd.DataFrame:
    """The first of each group's seeds, if timed, and of the `published` ones the notebook's."""
    rows = [
        (seeds[0].variant, tables.mean_accuracy(seeds), "pipeline", *seeds[0].time)
        for seeds in groups
        if seeds[0].time
    ]
    times = pd.DataFrame(rows, columns=["variant", "accuracy", "trained", "seconds", "machine"])
    if published is None:
        return times
    notebook = pd.read_csv(NOTEBOOK).join(published["accuracy"], on="variant")
    return pd.concat([times, notebook.assign(trained="notebook")])
