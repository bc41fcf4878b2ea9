"""What the panels of a figure show."""

from pipeline.plotting import Axes, Figure


def ticks(axis: Axes, side: str) -> dict[str, float]:
    """The positions of the tick labels of the `side` x or y, by their text."""
    one = axis.xaxis if side == "x" else axis.yaxis
    names = [label.get_text() for label in one.get_ticklabels()]
    return dict(zip(names, map(float, one.get_ticklocs()), strict=True))


def legend(figure: Figure) -> list[str]:
    """The labels of the figure's legend, in their order."""
    (box,) = figure.legends
    return [text.get_text() for text in box.get_texts()]


def shown(figure: Figure) -> list[Axes]:
    """The panels that are not switched off, as one reads."""
    return [axis for axis in figure.axes if axis.axison]
