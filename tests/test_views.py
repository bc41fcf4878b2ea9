"""Test-time augmentation: which views a model is shown, and how its answers are averaged."""

from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.evaluate import views
from pipeline.evaluate.views import ONE, Views

# No two pixels are alike, so that each view is told by its content.
IMAGES = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)


def several(*, mirrored: bool, shift: int) -> Views:
    """Views of which a model is shown all, as nothing short of certainty is enough."""
    return Views(mirrored=mirrored, shift=shift, sure=1.0)


def shown(seen: Views) -> list[np.ndarray]:
    """What a model is shown of IMAGES."""
    asked = []

    def ask(images: np.ndarray) -> np.ndarray:
        asked.append(images.copy())
        return np.zeros((len(images), 10), np.float32)

    views.asked(ask, IMAGES, seen, 1.0)
    return asked


def moved(images: np.ndarray, pixels: int) -> np.ndarray:
    """`images` moved so many pixels right and down, or left and up; beyond the edge, its mirror."""
    height, width = images.shape[1:3]
    rows, columns = np.arange(height) - pixels, np.arange(width) - pixels
    rows = np.clip(np.where(rows < 0, -1 - rows, rows), None, 2 * height - 1 - rows)
    columns = np.clip(np.where(columns < 0, -1 - columns, columns), None, 2 * width - 1 - columns)
    return images[:, rows][:, :, columns]


def as_bytes(arrays: list[np.ndarray]) -> list[bytes]:
    assert all(array.shape == IMAGES.shape for array in arrays)
    return sorted(array.tobytes() for array in arrays)


def test_one_view_is_the_networks_own_answer() -> None:
    answer = np.random.default_rng(1).normal(size=(2, 10)).astype(np.float32)
    found, alone = views.asked(lambda images: answer, IMAGES, ONE, 1.0)
    assert found.dtype == alone.dtype == np.float64
    assert np.array_equal(found, answer)
    assert np.array_equal(alone, answer)
    assert not ONE.several
    (asked,) = shown(ONE)
    assert np.array_equal(asked, IMAGES)


@pytest.mark.parametrize("pixels", [1, 3])
def test_views_are_moved_along_the_diagonal_and_mirrored(pixels: int) -> None:
    first = moved(IMAGES, 1)[0]
    assert first[1, 1].tolist() == IMAGES[0, 0, 0].tolist()  # right and down
    assert first[0, 1].tolist() == IMAGES[0, 0, 0].tolist()  # the edge is its own neighbour

    both_ways = [IMAGES, moved(IMAGES, pixels), moved(IMAGES, -pixels)]
    mirrored = [view[:, :, ::-1] for view in both_ways]
    assert as_bytes(shown(several(mirrored=False, shift=pixels))) == as_bytes(both_ways)
    assert as_bytes(shown(several(mirrored=True, shift=pixels))) == as_bytes(both_ways + mirrored)
    assert as_bytes(shown(several(mirrored=True, shift=0))) == as_bytes([both_ways[0], mirrored[0]])


@pytest.mark.parametrize(
    ("seen", "weights"),
    [
        (several(mirrored=True, shift=0), {"still": 1 / 2, "still mirrored": 1 / 2}),
        (several(mirrored=False, shift=2), {"still": 1 / 2, "right": 1 / 4, "left": 1 / 4}),
        (
            several(mirrored=True, shift=1),
            dict.fromkeys(("still", "still mirrored"), 1 / 4)
            | dict.fromkeys(("right", "right mirrored", "left", "left mirrored"), 1 / 8),
        ),
    ],
    ids=["mirrored", "shifted", "both"],
)
def test_answers_are_averaged_by_weight(seen: Views, weights: dict[str, float]) -> None:
    """The answer to each view is another one, so that a wrong weight of any shows."""
    moves = {"still": 0, "right": seen.shift, "left": -seen.shift}
    kinds = {}
    for name, pixels in moves.items():
        kinds[moved(IMAGES, pixels)[:, :, ::-1].tobytes()] = f"{name} mirrored"
        kinds[moved(IMAGES, pixels).tobytes()] = name
        if not seen.shift:
            break
    generator = np.random.default_rng(1)
    answers = {kind: generator.normal(size=(2, 10)).astype(np.float32) for kind in weights}

    found, alone = views.asked(lambda view: answers[kinds[view.tobytes()]], IMAGES, seen, 1.0)

    expected = sum(weights[kind] * answers[kind].astype(float) for kind in weights)
    assert sum(weights.values()) == 1
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(alone, answers["still"])


def test_only_images_that_leave_a_model_unsure_are_looked_at_again() -> None:
    """At temperature 0.5 the first image has 0.88 for its class in the first view, the second 0.73.

    Without the temperature both would be below 0.8.
    """
    asked = []

    def ask(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        first = np.array([[1.0, 0.0], [0.5, 0.0]], np.float32)
        return first if len(asked) == 1 else np.full((len(images), 2), 4.0, np.float32)

    found, alone = views.asked(ask, IMAGES, Views(mirrored=True, shift=1, sure=0.8), 0.5)

    assert asked == [2, 1, 1, 1, 1, 1]
    assert alone.tolist() == [[2, 0], [1, 0]]  # divided by the temperature
    assert found.tolist() == [[2, 0], [0.25 * 1 + 0.75 * 8, 0.75 * 8]]


def test_a_model_that_is_sure_of_all_is_asked_once() -> None:
    asked = []

    def ask(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return np.eye(2, dtype=np.float32) * 9

    views.asked(ask, IMAGES, Views(mirrored=True, shift=1, sure=0.99), 1.0)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("shift", -1), ("shift", 0.5), ("mirrored", 1), ("rotated", True), ("sure", 0), ("sure", 1.1)],
)
def test_refuses_wrong_params(key: str, value: Any) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params_file.section(params, "views.whitened", Views)
    params["views"]["whitened"][key] = value
    with pytest.raises(PipelineError, match=rf"views\.whitened\.{key}: "):
        params_file.section(params, "views.whitened", Views)
