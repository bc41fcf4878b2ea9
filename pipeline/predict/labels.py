"""The names of the classes of a model that has no file for LiteRT, in which they travel."""

import csv

from pipeline.base.errors import PipelineError
from pipeline.data import classes
from pipeline.report import places


def read(variant: str, *, evaluated: bool) -> tuple[str, ...]:
    """The names of the outputs of the model of `variant`, in their order.

    From its scores by class, which are in git, where they are of this very model: `evaluated`.
    Else those of the data at hand. Raises PipelineError when there is neither, or it is damaged.
    """
    scores = places.classes(variant)
    if evaluated and scores.exists():
        return _of_scores(variant)
    if classes.PATH.exists():
        return classes.read()
    raise PipelineError(
        f"{scores}: expected the names of the classes of {places.model(variant)}, found none that "
        f"belong to it; take the file from git, or run `dvc repro evaluate@{variant}`"
    )


def expect(names: tuple[str, ...], outputs: int, model: str, remedy: str) -> None:
    """PipelineError that ends in `remedy` unless each of the `outputs` of `model` has a name."""
    if len(names) != outputs:
        told = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise PipelineError(
            f"{model}: expected a name for each of its {outputs} outputs, found {len(names)} names "
            f"({told}); {remedy}"
        )


def _of_scores(variant: str) -> tuple[str, ...]:
    """The first column of the table that evaluate writes: of the others, one may be called so too,
    as each class has its own."""
    file = places.classes(variant)
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            head, *names = (row[0] for row in csv.reader(opened) if row)
        if head == "class" and names and all(names):
            return tuple(names)
        found = f"{len(names)} rows of a column '{head}'"
    except (OSError, ValueError, csv.Error) as error:
        found = " ".join(str(error).split())
    raise PipelineError(
        f"{file}: expected the names of the classes in a first column 'class', found {found}; "
        f"run `dvc repro evaluate@{variant}`"
    )
