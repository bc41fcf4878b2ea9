"""How every figure of reports/ looks and is saved: readable in grey, the same bytes each time.

The one module that imports matplotlib; others take its classes from here.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The terminal of a notebook names a backend there that need not be installed here, and then the
# mere import of matplotlib fails. Nothing below asks for a backend.
os.environ.pop("MPLBACKEND", None)

import matplotlib
from matplotlib.axes import Axes as Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm as PowerNorm
from matplotlib.figure import Figure as Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.markers import CARETDOWN as CARETDOWN
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator as MaxNLocator

from pipeline.base import files

DPI = 150  # of many panels: text of 7 points stays legible at half the size
FONT = "DejaVu Sans"  # ships with matplotlib, so no machine's fonts matter
LONGEST = 24  # characters of a name that has to fit beside others

# Lines differ by dash and marker too, so that they are told apart without colour. The colours
# are Okabe and Ito's, which the colour-blind can tell apart.
LINES = (
    {"color": "#000000", "linestyle": "-", "marker": "o"},
    {"color": "#0072B2", "linestyle": "--", "marker": "s"},
    {"color": "#D55E00", "linestyle": "-.", "marker": "^"},
    {"color": "#009E73", "linestyle": ":", "marker": "D"},
    {"color": "#CC79A7", "linestyle": (0, (5, 1)), "marker": "v"},
    {"color": "#E69F00", "linestyle": (0, (3, 1, 1, 1)), "marker": "P"},
    {"color": "#56B4E9", "linestyle": (0, (1, 1)), "marker": "X"},
    {"color": "#999999", "linestyle": (0, (8, 2)), "marker": "*"},
)

STYLE: dict[Any, Any] = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.family": FONT,
    "text.parse_math": False,  # a class is called as it is, dollars and all
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": "Greys",
}


@contextmanager
def drawing(
    path: Path,
    *,
    figsize: tuple[float, float] | None = None,
    dpi: int | None = None,
    **subplots: Any,
) -> Iterator[tuple[Figure, Any]]:
    """A figure with `Figure.subplots(**subplots)`, saved to the PNG `path` on leaving.

    In the house style; neither matplotlibrc files nor the environment of the user are heeded.
    Nothing is written when the body fails.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=figsize, dpi=dpi)
        FigureCanvasAgg(figure)  # draws the same with and without a screen
        yield figure, figure.subplots(**subplots)
        # The default metadata names matplotlib's version; the lock file already does.
        files.write(path, lambda temporary: figure.savefig(temporary, metadata={"Software": None}))


def grid(panels: int) -> tuple[int, int]:
    """Columns and rows for `panels` of equal size: at most four a row, the rows evenly filled."""
    rows = math.ceil(panels / 4)
    return math.ceil(panels / rows), rows


def spread(figure: Figure) -> None:
    """More room between the panels than the default, so that no label touches its neighbour."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # the house style asks for it
    engine.set(w_pad=0.08, h_pad=0.06)


def settle(figure: Figure) -> None:
    """Lay out `figure` anew from where its panels lie: square ones with long labels need that."""
    for _ in range(2):
        figure.draw_without_rendering()


def short(name: str) -> str:
    """`name` of at most LONGEST characters, its middle left out: ends tell names apart too."""
    end = LONGEST // 3
    return name if len(name) <= LONGEST else f"{name[: LONGEST - end - 1]}…{name[-end:]}"


def inches(name: str) -> float:
    """How wide `name` is as a label."""
    font = FontProperties(family=FONT, size=10)
    width, _, _ = text_to_path.get_text_width_height_descent(name, font, ismath=False)
    return float(width) / 72
