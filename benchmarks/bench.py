"""All measurements of the README: `make bench`, or `python benchmarks/bench.py PART...` for some.

Needs an idle machine of two cores and a project whose pipeline is up to date. Each row's two things
are measured in turns. Writes reports/bench/: a table a part, and what an epoch as in the notebook
takes, which reports/time_to_accuracy.png draws.
"""

import datetime
import os
import sys
from collections.abc import Callable
from pathlib import Path

import arithmetic
import convolution
import overheads
import scaling
import study_speed
from timing import header

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.base import files
from pipeline.tools import git, processor

FOLDER = Path("reports/bench")


def notebook() -> list[str]:
    """The study's variants as the notebook trains them; keeps the seconds for the figure."""
    found = study_speed.beside_notebook()
    seconds = study_speed.notebook_seconds(found)
    files.write_json(FOLDER / "notebook.json", {"measured": circumstances(), "seconds": seconds})
    return study_speed.notebook_rows(found)


def study() -> list[str]:
    """The study's variants, trained in several ways."""
    return study_speed.rows(study_speed.measured())


# Each with its unit.
PARTS: dict[str, tuple[Callable[[], list[str]], str]] = {
    "notebook": (notebook, "seconds"),
    "study": (study, "seconds"),
    "overheads": (overheads.rows, "seconds"),
    "memory": (overheads.memory_rows, "GiB"),
    "cores": (scaling.core_rows, "seconds"),
    "scaling": (scaling.rows, "seconds"),
    "arithmetic": (arithmetic.rows, "seconds"),
    "convolution": (convolution.rows, "seconds"),
}


def circumstances() -> str:
    """Date, machine and commit, in a line; dirty where more than a report has changed since."""
    commit = _git("rev-parse", "--short", "HEAD")
    if _git("status", "--porcelain", "--", ".", ":!reports"):
        commit += "-dirty"
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{today}, {os.cpu_count()} cores of {processor.name()}, commit {commit}"


def _git(*arguments: str) -> str:
    return git.output(*arguments).decode().strip()


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
