"""The history of a training: a row an epoch, as reports/V/history.csv holds it."""

from collections.abc import Mapping, Sequence

# What Keras reports of an epoch; a column `epoch`, counted from 1, goes before.
FIGURES = ("accuracy", "loss", "val_accuracy", "val_loss")
COLUMNS = ("epoch", *FIGURES)


def table(history: Mapping[str, Sequence[float]]) -> str:
    """`history`, a sequence of equal length per figure, as CSV with six decimals."""
    rows = [",".join(COLUMNS)]
    for epoch, figures in enumerate(zip(*(history[key] for key in FIGURES), strict=True), 1):
        rows.append(",".join((str(epoch), *(f"{figure:.6f}" for figure in figures))))
    return "\n".join(rows)
