"""The layout that the many-panelled figures share."""

import math

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 150  # text of 7 points stays legible where a page shows the figure at half its size


def grid(panels: int) -> tuple[int, int]:
    """Columns and rows for `panels` of equal size: at most four a row, the rows evenly filled."""
    rows = math.ceil(panels / 4)
    return math.ceil(panels / rows), rows


def spread(figure: Figure) -> None:
    """More room between the panels than the default, so that no label touches its neighbour."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # the house style asks for it
    engine.set(w_pad=0.08, h_pad=0.06)
