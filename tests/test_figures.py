"""Figures have the same bytes whatever the user's environment."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from conftest import PROJECT
from PIL import Image

from pipeline.report import figures

DRAW = """
import sys
from pathlib import Path
from pipeline.report import figures
with figures.drawing(Path(sys.argv[1]), ncols=2, figsize=(4, 2), dpi=80) as (figure, axes):
    axes[0].plot([1, 3, 2], label="a line")
    axes[1].set_title("a title")
    figure.legend(loc="outside lower center")
"""


def python(code: str, *arguments: str, **environment: str) -> None:
    """Runs `code` in a new process."""
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        timeout=240,
    )


def test_backend_and_style_of_the_user_are_ignored(tmp_path: Path) -> None:
    plain, styled = tmp_path / "plain.png", tmp_path / "styled.png"
    python(DRAW, str(plain))
    with Image.open(plain) as image:
        assert image.size == (320, 160)
        assert set(image.info) == {"dpi"}, "no version of a library"
    (tmp_path / "matplotlibrc").write_text(
        "backend: svg\nlines.linewidth: 9\nsavefig.format: pdf\nsavefig.dpi: 30\n"
        "font.family: serif\nfigure.facecolor: red\n"
    )
    notebook = "module://matplotlib_inline.backend_inline"
    python(DRAW, str(styled), MATPLOTLIBRC=str(tmp_path), MPLBACKEND=notebook)
    assert styled.read_bytes() == plain.read_bytes()


def test_failed_drawing_writes_nothing_and_restores_the_style(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(ZeroDivisionError), figures.drawing(tmp_path / "new/one.png"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert dict(mpl.rcParams) == before


def test_grid_has_at_most_four_columns_and_evenly_filled_rows() -> None:
    sizes = {1: (1, 1), 3: (3, 1), 4: (4, 1), 5: (3, 2), 8: (4, 2), 9: (3, 3), 10: (4, 3)}
    assert {panels: figures.grid(panels) for panels in sizes} == sizes


def test_lines_differ_in_colour_dash_and_marker() -> None:
    for key in ("color", "linestyle", "marker"):
        assert len({str(style[key]) for style in figures.LINES}) == len(figures.LINES) == 8
