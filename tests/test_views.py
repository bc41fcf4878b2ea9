"""Test-time augmentation: the views of an image and the weights of their logits."""

import numpy as np
import pytest

from pipeline.evaluate import views
from pipeline.evaluate.views import ONE, Views

# Every pixel has its own value, so that each view is known by its content.
IMAGES = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)


def shift(images: np.ndarray, pixels: int) -> np.ndarray:
    """`images` moved right and down, or left and up; symmetric padding beyond the edge."""
    height, width = images.shape[1:3]
    rows, columns = np.arange(height) - pixels, np.arange(width) - pixels
    rows = np.clip(np.where(rows < 0, -1 - rows, rows), None, 2 * height - 1 - rows)
    columns = np.clip(np.where(columns < 0, -1 - columns, columns), None, 2 * width - 1 - columns)
    return images[:, rows][:, :, columns]


def test_one_view() -> None:
    logits = np.random.default_rng(1).normal(size=(2, 10)).astype(np.float32)
    batches = []

    def predict(images: np.ndarray) -> np.ndarray:
        batches.append(images)
        return logits

    averaged, one_view = views.asked(predict, IMAGES, ONE, 1.0)
    assert averaged.dtype == one_view.dtype == np.float64
    assert averaged.tolist() == one_view.tolist() == logits.tolist()
    np.testing.assert_array_equal(batches, [IMAGES])
    assert not ONE.several


@pytest.mark.parametrize(
    ("mirrored", "pixels", "weights"),
    [
        (True, 0, {(0, False): 1 / 2, (0, True): 1 / 2}),
        (False, 3, {(0, False): 1 / 2, (3, False): 1 / 4, (-3, False): 1 / 4}),
        (
            *(True, 1),
            dict.fromkeys([(0, False), (0, True)], 1 / 4)
            | {(pixels, flip): 1 / 8 for pixels in (1, -1) for flip in (False, True)},
        ),
    ],
)
def test_logits_are_averaged_by_weight(
    mirrored: bool, pixels: int, weights: dict[tuple[int, bool], float]
) -> None:
    """Each view has logits of its own, so that a wrong weight of any shows."""
    generator = np.random.default_rng(1)
    logits = {view: generator.normal(size=(2, 10)).astype(np.float32) for view in weights}
    by_content = {}
    for (move, flip), value in logits.items():
        view = shift(IMAGES, move)
        by_content[(view[:, :, ::-1] if flip else view).tobytes()] = value
    batches = []

    def predict(images: np.ndarray) -> np.ndarray:
        batches.append(images.tobytes())
        return by_content[images.tobytes()]

    tta = Views(mirrored=mirrored, shift=pixels, sure=1.0)
    averaged, one_view = views.asked(predict, IMAGES, tta, 1.0)
    expected = sum(weight * logits[view].astype(float) for view, weight in weights.items())
    np.testing.assert_allclose(averaged, expected, rtol=1e-12)
    np.testing.assert_array_equal(one_view, logits[0, False])
    assert sorted(batches) == sorted(by_content)
    assert tta.several


@pytest.mark.parametrize(
    ("confidence", "batches", "averaged"),
    [(0.8, [2, 1, 1, 1, 1, 1], [[2, 0], [0.25 * 1 + 0.75 * 8, 0.75 * 8]]), (0.7, [2], None)],
)
def test_only_unsure_images_get_more_views(
    confidence: float, batches: list[int], averaged: list[list[float]] | None
) -> None:
    """Confidences are 0.88 and 0.73 at temperature 0.5, and below 0.8 without it."""
    sizes: list[int] = []

    def predict(images: np.ndarray) -> np.ndarray:
        sizes.append(len(images))
        first = np.array([[1.0, 0.0], [0.5, 0.0]], np.float32)
        return first if len(sizes) == 1 else np.full((len(images), 2), 4.0, np.float32)

    tta = Views(mirrored=True, shift=1, sure=confidence)
    logits, one_view = views.asked(predict, IMAGES, tta, 0.5)
    assert sizes == batches
    assert one_view.tolist() == [[2, 0], [1, 0]]  # divided by the temperature
    assert logits.tolist() == (averaged or one_view.tolist())
