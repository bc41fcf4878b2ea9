"""Stage compare: all variants in tables and five figures, beside what the study published."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import (
    by_class,
    charts,
    confusion,
    curves,
    differences,
    groups,
    reliability,
    results,
    table,
)
from pipeline.comparison.settings import Compare

REPORTS = Path("reports")
PUBLISHED = Path("pipeline/comparison/published.csv")


def main(arguments: list[str]) -> None:
    """Compare the variants of params.yaml, in the order of their test accuracy; writes reports/."""
    if arguments:
        raise PipelineError("usage: python -m pipeline compare")
    params = params_file.read()
    settings = params_file.section(params, "compare", Compare)
    variants = params_file.at(params, "variants")
    # The study published figures of CIFAR-10.
    is_theirs = params_file.at(params, "dataset.kind") == "cifar10"
    published = results.read_published(PUBLISHED) if is_theirs else None
    names = groups.alike(variants)
    known = {result.variant: result for result in results.read_all(itertools.chain(*names))}
    found = groups.ranked(groups.Group(tuple(known[name] for name in alike)) for alike in names)
    comparison = table.table(found, published, settings.confidence)
    _write_tables(found, comparison, settings.confidence)
    shown = [group.first for group in found]
    curves.curves(REPORTS / "curves.png", shown)
    curves.training(REPORTS / "training.png", shown)
    charts.accuracy(REPORTS / "accuracy.png", comparison.set_index("variant"), settings.confidence)
    confusion.draw(REPORTS / "confusion.png", shown)
    reliability.draw(REPORTS / "reliability.png", shown)


def _write_tables(
    found: Sequence[groups.Group], comparison: pd.DataFrame, confidence: float
) -> None:
    for name, rows, markdown in (
        ("comparison", comparison, table.markdown),
        ("differences", differences.table(found, confidence), differences.markdown),
        ("classes", by_class.table(found, confidence), by_class.markdown),
    ):
        text = rows.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        files.write_text(REPORTS / f"{name}.csv", text)
        files.write_text(REPORTS / f"{name}.md", markdown(rows, confidence))
