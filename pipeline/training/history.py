"""The history of a training as CSV: a row per epoch, as in history.csv."""

from collections.abc import Mapping, Sequence

# Keras's names; a column `epoch`, counted from 1, precedes them.
METRICS = ("accuracy", "loss", "val_accuracy", "val_loss")
COLUMNS = ("epoch", *METRICS)


def history_csv(history: Mapping[str, Sequence[float]]) -> str:
    """`history`, a sequence of equal length per metric, as CSV with six decimals.

    The columns of validation are blank where no images were held out.
    """
    blank = [None] * len(history["loss"])
    rows = [",".join(COLUMNS)]
    for epoch, metrics in enumerate(
        zip(*(history.get(name, blank) for name in METRICS), strict=True), 1
    ):
        cells = ("" if metric is None else f"{metric:.6f}" for metric in metrics)
        rows.append(",".join((str(epoch), *cells)))
    return "\n".join(rows)
