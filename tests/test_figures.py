"""How every figure is drawn: the same bytes, whatever the user's environment asks for."""

import os
import subprocess
import sys
from collections.abc import Mapping
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
assert "matplotlib.pyplot" not in sys.modules
"""
BACKENDS = ["module://matplotlib_inline.backend_inline", "nonsense", "TkAgg", "svg"]


def python(code: str, *arguments: str, **environment: str) -> None:
    """Runs `code` as a process of its own."""
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        timeout=60,
    )


def drawn(path: Path, environment: Mapping[str, str]) -> bytes:
    python(DRAW, str(path), **environment)
    return path.read_bytes()


def test_neither_the_backend_nor_the_style_of_the_user_is_heeded(tmp_path: Path) -> None:
    plain = drawn(tmp_path / "plain.png", {})
    with Image.open(tmp_path / "plain.png") as image:
        assert image.size == (320, 160)
        assert set(image.info) == {"dpi"}, "no version of a library"
    (tmp_path / "matplotlibrc").write_text(
        "backend: svg\nlines.linewidth: 9\nsavefig.format: pdf\nsavefig.dpi: 30\n"
        "font.family: serif\nfigure.facecolor: red\n"
    )
    assert drawn(tmp_path / "a.png", {"MATPLOTLIBRC": str(tmp_path)}) == plain
    for backend in BACKENDS:
        assert drawn(tmp_path / "b.png", {"MPLBACKEND": backend}) == plain


@pytest.mark.parametrize(
    "module",
    [
        *("pipeline.comparison.charts", "pipeline.comparison.curves", "pipeline.comparison.stage"),
        *("pipeline.explore.explore", "pipeline.evaluate.mistakes"),
        "pipeline.tools.training_times",
    ],
)
def test_what_draws_can_be_imported_where_a_notebook_names_its_backend(module: str) -> None:
    python(f"import {module}", MPLBACKEND=BACKENDS[0])


def test_the_callers_own_style_is_as_before(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    with figures.drawing(tmp_path / "one.png"):
        assert mpl.rcParams["axes.grid"]
    assert dict(mpl.rcParams) == before


def test_nothing_is_written_when_the_drawing_fails(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(ZeroDivisionError), figures.drawing(tmp_path / "new/one.png"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("panels", "columns_and_rows"),
    [(1, (1, 1)), (3, (3, 1)), (4, (4, 1)), (5, (3, 2)), (8, (4, 2)), (9, (3, 3)), (10, (4, 3))],
)
def test_at_most_four_panels_a_row_the_rows_evenly_filled(
    panels: int, columns_and_rows: tuple[int, int]
) -> None:
    assert figures.grid(panels) == columns_and_rows


def test_lines_differ_without_colour_and_without_dashes() -> None:
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in figures.LINES}) == len(figures.LINES) == 8
