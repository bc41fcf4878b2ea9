"""What the panels of a figure show: data by label, ticks, the legend."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.plotting import Axes, Figure

Points = list[tuple[float, float]]


def lines(axis: Axes) -> dict[str, Points]:
    """The points of each line, by its label."""
    return {str(line.get_label()): points(*map(np.asarray, line.get_data())) for line in axis.lines}


def points(x: Iterable[Any], y: Iterable[Any]) -> Points:
    """Pairs of plain numbers, so that a failing test prints them legibly."""
    return [(float(one), float(other)) for one, other in zip(x, y, strict=True)]


def words(texts: Iterable[Any]) -> list[str]:
    """The strings of texts, such as tick labels."""
    return [text.get_text() for text in texts]


def ticks(axis: Axes, side: str) -> dict[str, float]:
    """The positions of the tick labels of the `side` x or y, by their text."""
    one = axis.xaxis if side == "x" else axis.yaxis
    return dict(zip(words(one.get_ticklabels()), map(float, one.get_ticklocs()), strict=True))


def legend(figure: Figure) -> list[str]:
    """The labels of the figure's legend, in their order."""
    (box,) = figure.legends
    return words(box.get_texts())


def shown(figure: Figure) -> list[Axes]:
    """The panels that are not switched off, as one reads."""
    return [axis for axis in figure.axes if axis.axison]
