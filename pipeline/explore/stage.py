"""Stage explore: what the data holds, in figures and numbers, before anything is trained on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import files, params_file
from pipeline.data import classes, splits
from pipeline.explore import figures
from pipeline.explore.settings import Explore
from pipeline.explore.summary import CHANNELS, summarize

REPORTS = Path("reports/data")


def to_markdown(summary: Mapping[str, Any]) -> str:
    """The summary for people: a table with a column per split and one for the total."""
    facts = summary["splits"]
    columns = {**facts, "total": summary["total"]}
    copies = [*summary["duplicates"]["within"].values(), summary["duplicates"]["total"]]
    rows = [
        ("images", [f"{fact['images']:,}" for fact in columns.values()]),
        ("minimum", [f"{fact['minimum']:g}" for fact in columns.values()]),
        ("maximum", [f"{fact['maximum']:g}" for fact in columns.values()]),
        ("missing values", [str(fact["missing_values"]) for fact in columns.values()]),
        ("exact copies of an earlier image", [str(number) for number in copies]),
    ]
    taken = {row for row, _ in rows}
    for name in summary["total"]["images_per_class"]:
        # A bar would end the cell, and a class may have the name of another row.
        row = f"class {name}" if name in taken else name
        counts = [f"{fact['images_per_class'][name]:,}" for fact in columns.values()]
        rows.append((row.replace("|", "\\|"), counts))
    rows.append(("largest class : smallest", [_imbalance(fact) for fact in columns.values()]))
    for channel in CHANNELS:
        numbers = [fact["channels"][channel] for fact in columns.values()]
        cells = [f"{n['mean']:.6f} ± {n['standard_deviation']:.6f}" for n in numbers]
        rows.append((f"{channel}, mean ± standard deviation", cells))
    names, content = zip(*rows, strict=True)
    shown = pd.DataFrame(content, index=names, columns=list(columns))
    align = ("left", *["right"] * len(columns))
    first = next(iter(facts.values()))
    shape, dtype = " x ".join(map(str, first["image_shape"])), first["image_dtype"]
    across = summary["duplicates"]["across"].items()
    return "\n".join(
        [
            "# The data",
            "",
            f"Images {shape} ({dtype}), labels {first['label_shape'][0]} one-hot values "
            f"({first['label_dtype']}).",
            "",
            shown.to_markdown(disable_numparse=True, colalign=align),
            "",
            f"Images in two splits: {', '.join(f'{pair} {count}' for pair, count in across)}.",
        ]
    )


def _imbalance(fact: Mapping[str, Any]) -> str:
    counts = fact["images_per_class"].values()
    return f"{max(counts) / min(counts):.1f} : 1"


def main(arguments: list[str]) -> None:
    """Write the figures and tables of reports/data from the three splits."""
    settings = params_file.section(params_file.read(), "explore", Explore)
    names = classes.read()
    training = splits.read("train")
    parts = {name: splits.read(name, like=training) for name in splits.NAMES[1:]}
    summary = summarize({"train": training, **parts}, names)
    figures.samples(training, names, settings.seed, REPORTS / "samples.png")
    each = settings.images_per_class
    figures.by_class(training, names, settings.seed, each, REPORTS / "by_class.png")
    figures.classes(summary["splits"], REPORTS / "classes.png")
    files.write_json(REPORTS / "summary.json", summary)
    files.write_text(REPORTS / "summary.md", to_markdown(summary))
