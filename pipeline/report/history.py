"""The history of a training: a row an epoch, as history.csv holds it."""

from collections.abc import Mapping, Sequence

# What Keras reports of an epoch; a column `epoch`, counted from 1, goes before.
FIGURES = ("accuracy", "loss", "val_accuracy", "val_loss")
COLUMNS = ("epoch", *FIGURES)


def table(history: Mapping[str, Sequence[float]]) -> str:
    """`history`, a sequence of equal length per figure, as CSV with six decimals.

    The figures of validation are blank where none was held out.
    """
    blank = [None] * len(history["loss"])
    rows = [",".join(COLUMNS)]
    for epoch, figures in enumerate(
        zip(*(history.get(name, blank) for name in FIGURES), strict=True), 1
    ):
        cells = ("" if figure is None else f"{figure:.6f}" for figure in figures)
        rows.append(",".join((str(epoch), *cells)))
    return "\n".join(rows)
