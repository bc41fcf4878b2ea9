"""How good the variants are: bars, side by side."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import figures
from pipeline.report.figures import CARETDOWN, Axes

BAR = "#56B4E9"  # light enough for black numbers
BAR_HEIGHT = 0.6
PUBLISHED: dict[str, Any] = {
    "label": "published by the study",
    "marker": CARETDOWN,
    "markersize": 9,
    "color": "#D55E00",
    "markeredgecolor": "black",
    "linestyle": "none",
}


def accuracy(path: Path, comparison: pd.DataFrame, confidence: float) -> None:
    """Test accuracy with its interval, and test loss, as bars beside the published values if any.

    `comparison` is the result of table.table with the variant as index.
    """
    shares = comparison["accuracy"]
    interval = np.abs(
        comparison[["accuracy_low", "accuracy_high"]].T.to_numpy() - shares.to_numpy()
    )
    with figures.drawing(
        path, ncols=2, sharey=True, figsize=(10, 0.5 * len(comparison) + 1.9), dpi=figures.DPI
    ) as (figure, (left, right)):
        _bars(left, comparison, "accuracy")
        left.errorbar(
            shares,
            range(len(comparison)),
            xerr=interval,
            linestyle="none",
            color="black",
            capsize=4,
            label=f"{100 * confidence:g} % interval (binomial, Wilson)",
        )
        left.set(title="Test accuracy", xlabel="share of test images classified right")
        _bars(right, comparison, "loss")
        right.set(title="Test loss", xlabel="categorical cross-entropy (nats)")
        left.set_yticks(range(len(comparison)), comparison.index)
        left.set_ylim(len(comparison) - 0.5, -0.7)  # shared: the first variant on top
        handles, labels = left.get_legend_handles_labels()
        # Lines come first: bars, interval, published, as one reads the panel.
        figure.legend(
            [*handles[-2:], *handles[:-2]],
            [*labels[-2:], *labels[:-2]],
            loc="outside lower center",
            ncols=3,
        )
        figures.spread(figure)


def _bars(axis: Axes, comparison: pd.DataFrame, name: str) -> None:
    places = np.arange(len(comparison))
    axis.barh(places, comparison[name], height=BAR_HEIGHT, color=BAR, label="this pipeline")
    if f"published_{name}" in comparison:
        # The tip touches the bar's upper edge: it hides neither the bar's end nor the interval.
        axis.plot(comparison[f"published_{name}"], places - BAR_HEIGHT / 2, **PUBLISHED)
    for place, value in enumerate(comparison[name]):
        axis.text(0, place, f" {value:.4f}", va="center_baseline")
    axis.grid(visible=False, axis="y")
