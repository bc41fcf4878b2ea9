"""Figures have the same bytes whatever the user's environment; the gallery of evaluate."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import panels
import pytest
from conftest import PROJECT
from PIL import Image

from pipeline import plotting
from pipeline.evaluation.gallery import draw_gallery, most_confident_errors
from pipeline.plotting import Figure

DRAW = """
import sys
from pathlib import Path
from pipeline import plotting
with plotting.figure(Path(sys.argv[1]), ncols=2, figsize=(4, 2), dpi=80) as (figure, axes):
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
    figure = plotting.figure(tmp_path / "new/one.png", figsize=(4, 2))
    with pytest.raises(ZeroDivisionError), figure:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert dict(mpl.rcParams) == before


def test_styles_of_lines_are_distinct_without_colour() -> None:
    styles = {(style["marker"], style["fillstyle"]) for style in plotting.LINES}
    assert len(styles) == len(plotting.LINES) == 16


PREDICTIONS = pd.DataFrame(
    {
        "actual": ["cat", "$5$ note", r"$\frac$", "$5$ note"],  # math between dollars
        "predicted": ["cat", "cat", "$5$ note", "$5$ note"],
        "confidence": [0.75, 0.625, 0.875, 0.625],
    }
)
IMAGES = np.random.default_rng(1).random((4, 32, 32, 3), np.float32)


def test_the_most_confident_come_first() -> None:
    assert most_confident_errors(PREDICTIONS, 1).index.tolist() == [2]
    twice = pd.concat([PREDICTIONS, PREDICTIONS], ignore_index=True)
    assert most_confident_errors(twice, 20).index.tolist() == [2, 6, 1, 5]


def test_images_and_classes(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    draw_gallery(tmp_path / "final.png", "final", IMAGES, PREDICTIONS, 20)
    figure = drawn["final.png"]
    assert panels.shown(figure) == []  # no frames
    first, second, *blank = figure.axes
    assert first.get_title() == "$5$ note 87.50%\ntrue: $\\frac$"
    assert second.get_title() == "cat 62.50%\ntrue: $5$ note"
    for axis, index in ((first, 2), (second, 1)):
        (image,) = axis.images
        np.testing.assert_array_equal(np.asarray(image.get_array()), IMAGES[index])
    assert [(axis.get_title(), len(axis.images)) for axis in blank] == [("", 0)] * 3
    draw_gallery(tmp_path / "final.png", "final", IMAGES, PREDICTIONS.assign(actual="none"), 2)
    assert sum(len(axis.images) for axis in drawn["final.png"].axes) == 2
    draw_gallery(tmp_path / "final.png", "final", IMAGES, PREDICTIONS.head(1), 20)
    assert sum(len(axis.images) for axis in drawn["final.png"].axes) == 0


def test_names_with_dollars_are_drawn_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_gallery(tmp_path / name, "final", IMAGES, PREDICTIONS, 20)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
