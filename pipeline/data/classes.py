"""The names of the classes, in the order of the labels: a file of its own, a name a line."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.base import files
from pipeline.base.errors import PipelineError

PATH = Path("data/processed/classes.txt")


def write(names: Sequence[str]) -> None:
    """Keep the `names`."""
    files.write_text(PATH, "\n".join(names))


def read() -> tuple[str, ...]:
    """The names; PipelineError when their file is missing or empty."""
    try:
        names = tuple(filter(None, PATH.read_text(encoding="utf-8").split("\n")))
        problem = "an empty file"
    except (OSError, ValueError) as error:
        names, problem = (), " ".join(str(error).split())
    if not names:
        raise PipelineError(
            f"{PATH}: expected the names of the classes, found {problem}; "
            "run `dvc repro preprocess` to make it again"
        )
    return names
