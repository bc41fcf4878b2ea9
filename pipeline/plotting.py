"""Style and saving of the figures: readable in greyscale, the same bytes each time.

The only module that imports matplotlib; others import its classes from this one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Notebooks set a backend that need not be installed, and then the import of matplotlib fails.
# Nothing below needs a backend.
os.environ.pop("MPLBACKEND", None)

import matplotlib
from matplotlib.axes import Axes as Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm as PowerNorm
from matplotlib.figure import Figure as Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator as MaxNLocator

from pipeline.core import files

DPI = 150  # of figures with many panels: text of 7 points stays legible at half the size

# 16 styles of lines, which differ by dash and marker, too, so that they can be distinguished
# without colour. The colours are Okabe and Ito's, which the colour-blind can distinguish.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_STYLES = cycler(color=_COLORS) + cycler(linestyle=_DASHES) + cycler(marker=list("os^DvPX*"))
LINES = cycler(fillstyle=["full", "none"]) * _STYLES

STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    # More than the default, so that labels of neighbouring panels do not touch.
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so no machine's fonts matter
    "text.parse_math": False,  # a class name may hold a $
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def figure(
    path: Path, *, figsize: tuple[float, float], dpi: int | None = None, **subplots: Any
) -> Iterator[tuple[Figure, Any]]:
    """A figure with `Figure.subplots(**subplots)`, saved to the PNG `path` on leaving.

    In STYLE, whatever matplotlibrc files or environment the user has. Nothing is written when the
    body raises.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        canvas = Figure(figsize=figsize, dpi=dpi)
        FigureCanvasAgg(canvas)  # the same with and without a display
        yield canvas, canvas.subplots(**subplots)
        # The default metadata names matplotlib's version; the lock file already does.
        files.write(path, lambda temporary: canvas.savefig(temporary, metadata={"Software": None}))
