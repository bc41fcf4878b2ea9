"""The gallery of mistakes: which images it shows, and what it says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import panels
import pytest
from made_up import NAMES
from matplotlib import image

from pipeline.evaluate import mistakes
from pipeline.report.figures import Figure

LABELS = np.array([3, 5, 0, 9])  # cat, dog, airplane, truck
PROBABILITIES = np.zeros((4, 10), np.float32)
PROBABILITIES[0, [3, 5]] = 0.75, 0.25  # right
PROBABILITIES[1, [3, 5]] = 0.625, 0.375
PROBABILITIES[2, [8, 1]] = 0.875, 0.125
PROBABILITIES[3, [9, 1]] = 0.625, 0.375  # right
IMAGES = np.random.default_rng(1).random((30, 32, 32, 3), np.float32)


def test_mistakes_are_the_wrong_ones_by_confidence() -> None:
    assert mistakes.most_confident(LABELS, PROBABILITIES, 20).tolist() == [2, 1]
    assert mistakes.most_confident(LABELS, PROBABILITIES, 1).tolist() == [2]
    twice = np.tile(PROBABILITIES, (2, 1))
    assert mistakes.most_confident(np.tile(LABELS, 2), twice, 20).tolist() == [2, 6, 1, 5]


def test_above_each_image_the_guess_and_what_it_is(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    answers: dict[str, Any] = {
        "labels": LABELS,
        "probabilities": PROBABILITIES,
        "classes": NAMES,
    }
    mistakes.draw(tmp_path / "final.png", "final", images=IMAGES[:4], count=20, **answers)
    figure = drawn["final.png"]
    assert figure.get_suptitle().splitlines() == [
        "final: its 2 most confident mistakes",
        "above each test image the predicted class with its probability, then the true class",
    ]
    assert len(figure.axes) == 5
    assert panels.shown(figure) == []  # no frames
    first, second, *blank = figure.axes
    assert first.get_title() == "ship 87.50%\nis airplane"
    assert second.get_title() == "cat 62.50%\nis dog"
    for axis, index in ((first, 2), (second, 1)):
        (shown,) = axis.images
        np.testing.assert_array_equal(np.asarray(shown.get_array()), IMAGES[index])
    assert [(axis.get_title(), len(axis.images)) for axis in blank] == [("", 0)] * 3


def test_a_model_without_mistakes_is_said_to_have_none(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    answers: dict[str, Any] = {
        "labels": LABELS[[0, 3]],
        "probabilities": PROBABILITIES[[0, 3]],
        "classes": NAMES,
    }
    mistakes.draw(tmp_path / "final.png", "final", images=IMAGES[:2], count=20, **answers)
    assert drawn["final.png"].get_suptitle() == "final: no mistakes on the test set"
    assert not any(axis.images for axis in drawn["final.png"].axes)


@pytest.mark.parametrize(("wrong", "rows"), [(0, 1), (1, 1), (23, 4)])
def test_gallery_of_any_number_of_mistakes(tmp_path: Path, wrong: int, rows: int) -> None:
    labels = np.arange(30) % 10
    probabilities = np.eye(10, dtype=np.float32)[(labels + (np.arange(30) < wrong)) % 10]
    paths = [tmp_path / name for name in ("one.png", "two.png")]
    for path in paths:
        answers: dict[str, Any] = {
            "labels": labels,
            "probabilities": probabilities,
            "classes": NAMES,
        }
        mistakes.draw(path, "final", images=IMAGES, count=20, **answers)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    height, width, _ = image.imread(paths[0]).shape
    assert (width, height) == (900, pytest.approx(60 + 220 * rows, abs=1))


def test_a_class_is_called_as_it_is_whatever_its_name(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    """Between dollars matplotlib would set mathematics, or fail where it is none."""
    names = ["$5$ note", r"$\frac$"]
    mistakes.draw(
        tmp_path / "final.png",
        "final",
        images=np.zeros((1, 64, 64, 3), np.float32),
        labels=np.array([1]),
        probabilities=np.array([[0.75, 0.25]], np.float32),
        classes=names,
        count=20,
    )
    title = drawn["final.png"].axes[0].title
    assert title.get_text() == "$5$ note 75.00%\nis $\\frac$"
    assert not title.get_parse_math()
