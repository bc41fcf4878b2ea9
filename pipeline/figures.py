"""How every figure of reports/ looks and is saved: readable in grey, the same bytes each time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # draws the same with and without a screen

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from pipeline import files

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
    "font.family": "DejaVu Sans",  # ships with matplotlib, so no machine's fonts matter
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": "Greys",
}


@contextmanager
def drawing(path: Path, **subplots: Any) -> Iterator[tuple[Figure, Any]]:
    """`plt.subplots(**subplots)` in the house style, saved to the PNG `path` on leaving.

    matplotlibrc files of the user are not heeded. Nothing is written when the body fails.
    """
    with plt.rc_context():
        matplotlib.rcdefaults()
        plt.rcParams.update(STYLE)
        figure, axes = plt.subplots(**subplots)
        try:
            yield figure, axes
            # The default metadata names matplotlib's version; the lock file already does.
            files.write(
                path,
                lambda temporary: figure.savefig(temporary, metadata={"Software": None}),
            )
        finally:
            plt.close(figure)
