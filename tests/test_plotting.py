"""Figures have the same bytes whatever the user's environment."""

from pathlib import Path

import matplotlib as mpl
import pytest
import workspace
from PIL import Image

from pipeline import plotting

DRAW = """
import sys
from pathlib import Path
from pipeline import plotting
with plotting.figure(Path(sys.argv[1]), ncols=2, figsize=(4, 2), dpi=80) as (figure, axes):
    axes[0].plot([1, 3, 2], label="a line")
    axes[1].set_title(r"$5$ notes of $\\frac$")  # no formula
    figure.legend(loc="outside lower center")
"""


def test_backend_and_style_of_the_user_are_ignored(tmp_path: Path) -> None:
    plain, styled = tmp_path / "plain.png", tmp_path / "styled.png"
    workspace.run_code(DRAW, str(plain))
    with Image.open(plain) as image:
        assert image.size == (320, 160)
        assert set(image.info) == {"dpi"}, "no version of a library"
    (tmp_path / "matplotlibrc").write_text(
        "backend: svg\nlines.linewidth: 9\nsavefig.format: pdf\nsavefig.dpi: 30\n"
        "font.family: serif\nfigure.facecolor: red\n"
    )
    notebook = "module://matplotlib_inline.backend_inline"
    workspace.run_code(DRAW, str(styled), MATPLOTLIBRC=str(tmp_path), MPLBACKEND=notebook)
    assert styled.read_bytes() == plain.read_bytes()


def test_failed_drawing_writes_nothing_and_restores_the_style(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure = plotting.figure(tmp_path / "new/one.png", figsize=(4, 2))
    with pytest.raises(ZeroDivisionError), figure:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert dict(mpl.rcParams) == before


def test_styles_of_lines_are_distinct_without_colour() -> None:
    styles = {(style["marker"], style["fillstyle"]) for style in plotting.LINES}
    assert len(styles) == len(plotting.LINES) == 16
