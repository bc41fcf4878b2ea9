"""The gallery of misclassified images."""

from pathlib import Path

import numpy as np
import panels
import pytest

from pipeline.evaluate import mistakes
from pipeline.report.figures import Figure

CLASSES = ["cat", "$5$ note", r"$\frac$"]  # matplotlib sets math between dollars
LABELS = np.array([0, 1, 2, 1])
PROBABILITIES = np.array(
    [[0.75, 0.25, 0], [0.625, 0.375, 0], [0, 0.875, 0.125], [0, 0.625, 0.375]], np.float32
)
IMAGES = np.random.default_rng(1).random((30, 32, 32, 3), np.float32)


def draw(path: Path, labels: np.ndarray, probabilities: np.ndarray) -> None:
    mistakes.draw(
        path,
        "final",
        images=IMAGES[: len(labels)],
        labels=labels,
        probabilities=probabilities,
        classes=CLASSES,
        count=20,
    )


def test_the_most_confident_come_first() -> None:
    assert mistakes.most_confident(LABELS, PROBABILITIES, 20).tolist() == [2, 1]
    assert mistakes.most_confident(LABELS, PROBABILITIES, 1).tolist() == [2]
    twice = np.tile(PROBABILITIES, (2, 1))
    assert mistakes.most_confident(np.tile(LABELS, 2), twice, 20).tolist() == [2, 6, 1, 5]


def test_images_and_classes(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    draw(tmp_path / "final.png", LABELS, PROBABILITIES)
    figure = drawn["final.png"]
    assert panels.shown(figure) == []  # no frames
    first, second, *blank = figure.axes
    assert first.get_title() == "$5$ note 87.50%\nis $\\frac$"
    assert second.get_title() == "cat 62.50%\nis $5$ note"
    assert not first.title.get_parse_math()
    for axis, index in ((first, 2), (second, 1)):
        (image,) = axis.images
        np.testing.assert_array_equal(np.asarray(image.get_array()), IMAGES[index])
    assert [(axis.get_title(), len(axis.images)) for axis in blank] == [("", 0)] * 3


@pytest.mark.parametrize(("wrong", "rows"), [(0, 1), (1, 1), (6, 2), (23, 4)])
def test_rows_for_any_number(
    tmp_path: Path, drawn: dict[str, Figure], wrong: int, rows: int
) -> None:
    labels = np.arange(30) % 3
    probabilities = np.eye(3, dtype=np.float32)[(labels + (np.arange(30) < wrong)) % 3]
    draw(tmp_path / "final.png", labels, probabilities)
    axes = drawn["final.png"].axes
    assert drawn["final.png"].get_size_inches().tolist() == pytest.approx([9, 2.2 * rows + 0.6])
    assert len(axes) == 5 * rows
    assert sum(len(axis.images) for axis in axes) == min(wrong, 20)


def test_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw(tmp_path / name, LABELS, PROBABILITIES)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
