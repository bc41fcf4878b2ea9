"""Stage compare: all variants in one table and five figures, beside what the study published."""

from pathlib import Path

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.compare import charts, curves, differences, groups, reliability, results, table
from pipeline.compare.settings import Compare

REPORTS = Path("reports")
PUBLISHED = Path("pipeline/compare/published.csv")


def main(arguments: list[str]) -> None:
    """Compare the variants of params.yaml, in the order of their test accuracy; writes reports/."""
    if arguments:
        raise PipelineError("usage: python -m pipeline compare")
    params = params_file.read()
    settings = params_file.section(params, "compare", Compare)
    variants = params_file.at(params, "variants")
    found = groups.ranked(
        groups.Group(tuple(map(results.read, names))) for names in groups.alike(variants)
    )
    comparison = table.table(found, results.read_published(PUBLISHED), settings.confidence)
    tested = differences.table(found, settings.confidence)
    for name, rows in (("comparison", comparison), ("differences", tested)):
        text = rows.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        files.write_text(REPORTS / f"{name}.csv", text)
    files.write_text(REPORTS / "comparison.md", table.markdown(comparison, settings.confidence))
    files.write_text(REPORTS / "differences.md", differences.markdown(tested, settings.confidence))
    shown = [group.first for group in found]
    curves.curves(REPORTS / "curves.png", shown)
    curves.training(REPORTS / "training.png", shown)
    charts.accuracy(REPORTS / "accuracy.png", comparison.set_index("variant"), settings.confidence)
    charts.confusion(REPORTS / "confusion.png", shown)
    reliability.draw(REPORTS / "reliability.png", shown)
