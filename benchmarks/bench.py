"""The measurements of docs/benchmarks.md and docs/speed.md: `python benchmarks/bench.py PART...`.

Needs an idle machine of two cores and a project whose pipeline is up to date. Each row's two things
are measured in turns. Writes reports/bench/: a table a part, and what an epoch as in the notebook
takes, which reports/time_to_accuracy.png draws.
"""

import datetime
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import overheads
import pandas as pd
import training_speed
from timing import header

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import files
from pipeline.tools import environment

FOLDER = Path("reports/bench")
NOTEBOOK = Path("pipeline/comparison/notebook.csv")  # the stage compare draws it


def study() -> list[str]:
    """The study's networks; keeps the notebook's seconds for the figure."""
    measured = training_speed.measure_study()
    seconds = training_speed.notebook_seconds(measured)
    machine = ", ".join(circumstances().split(", ")[1:-1])  # between date and commit
    rows = [(variant, 30 * epoch, machine) for variant, epoch in seconds.items()]  # 30 epochs
    table = pd.DataFrame(rows, columns=["variant", "seconds", "machine"])
    files.write_text(NOTEBOOK, table.to_csv(index=False))
    return training_speed.study_rows(measured)


# Each with its unit.
PARTS: dict[str, tuple[Callable[[], list[str]], str]] = {
    "study": (study, "seconds"),
    "overheads": (overheads.rows, "seconds"),
    "memory": (overheads.memory_rows, "GiB"),
    "cores": (training_speed.core_rows, "seconds"),
    "arithmetic": (training_speed.precision_rows, "seconds"),
    "convolution": (training_speed.convolution_rows, "seconds"),
}


def circumstances() -> str:
    """Date, machine and commit, in a line; dirty where more than a report has changed since."""
    commit = _git("rev-parse", "--short", "HEAD")
    if _git("status", "--porcelain", "--", ".", ":!reports"):
        commit += "-dirty"
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{today}, {os.cpu_count()} cores of {environment.processor_name()}, commit {commit}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.strip()


def main(chosen: list[str]) -> None:
    if unknown := set(chosen) - set(PARTS):
        sys.exit(f"bench: expected of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    measured = circumstances()
    for name in chosen or PARTS:
        rows, unit = PARTS[name]
        table = "\n".join([header(unit), *rows(), "", f"({measured})"])
        files.write_text(FOLDER / f"{name}.md", table)
        print(f"{name}\n\n{table}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
