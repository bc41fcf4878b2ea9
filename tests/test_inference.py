"""Inference: batches, threads, damaged logits; test-time augmentation; calibration."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import NO_TTA, inference_config

from pipeline.core.errors import PipelineError
from pipeline.core.splits import Split
from pipeline.evaluation import metrics
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation
from pipeline.evaluation.inference import TEMPERATURES, calibrate, predict_logits, predict_with_tta

IMAGES = np.linspace(0, 1, 60, dtype=np.float32).reshape(60, 1, 1, 1) * np.ones((1, 32, 32, 3))


class Model:
    """Its logits are the brightness of each image."""

    def __init__(self, check: Callable[[np.ndarray], object] = len) -> None:
        self.check = check

    def make_predict_function(self) -> None:
        self.batch_sizes: list[int] = []

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        self.batch_sizes.append(len(batch))
        self.check(batch)
        return np.repeat(batch.mean(axis=(1, 2, 3))[:, None], 10, axis=1).astype(np.float32)


def predict(model: Any, images: np.ndarray = IMAGES, *, batch_size: int = 25) -> Any:
    return predict_logits(model, images, batch_size=batch_size, config=inference_config(temp=0.5))


def test_batches_and_order() -> None:
    model = Model()
    logits, no_tta = predict(model)
    assert sorted(model.batch_sizes) == [10, 25, 25]
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits[:, 3], np.linspace(0, 2, 60), atol=1e-6)
    np.testing.assert_array_equal(logits, no_tta)


def test_as_many_batches_at_once_as_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "3")
    barrier = threading.Barrier(3, timeout=20)  # raises when fewer come
    predict(Model(lambda _: barrier.wait()), batch_size=10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_logits_are_refused(value: float) -> None:
    images = IMAGES.copy()
    images[59] = value
    with pytest.raises(PipelineError, match="learning_rate"):
        predict(Model(), images)


SMALL = np.random.default_rng(1).random((2, 4, 6, 3), np.float32)


def shift(images: np.ndarray, pixels: int) -> np.ndarray:
    """`images` moved right and down, or left and up; symmetric padding beyond the edge."""
    height, width = images.shape[1:3]
    rows, columns = np.arange(height) - pixels, np.arange(width) - pixels
    rows = np.clip(np.where(rows < 0, -1 - rows, rows), None, 2 * height - 1 - rows)
    columns = np.clip(np.where(columns < 0, -1 - columns, columns), None, 2 * width - 1 - columns)
    return images[:, rows][:, :, columns]


@pytest.mark.parametrize(
    ("flip", "pixels", "weights"),
    [
        (False, 0, {0: 1}),
        (True, 0, {0: 1}),
        (False, 3, {0: 1 / 2, 3: 1 / 4, -3: 1 / 4}),
        (True, 1, {0: 1 / 2, 1: 1 / 4, -1: 1 / 4}),
    ],
)
def test_logits_are_averaged_by_weight(flip: bool, pixels: int, weights: dict[int, float]) -> None:
    """The logits are the pixels of a view, all different, so that a wrong weight of any shows."""
    tta = TestTimeAugmentation(horizontal_flip=flip, shift=pixels, confidence_threshold=1.0)
    config = inference_config(tta)
    averaged, no_tta = predict_with_tta(lambda images: images.reshape(2, -1), SMALL, config)
    views = [weight * shift(SMALL.astype(float), move) for move, weight in weights.items()]
    mean = np.sum(views, axis=0)
    if flip:
        mean = (mean + mean[:, :, ::-1]) / 2
    np.testing.assert_allclose(averaged, mean.reshape(2, -1), rtol=1e-12)
    np.testing.assert_array_equal(no_tta, SMALL.reshape(2, -1))
    assert averaged.dtype == no_tta.dtype == np.float64


@pytest.mark.parametrize(
    ("threshold", "batches", "averaged"),
    [(0.8, [2, 1, 1, 1, 1, 1], [[2, 0], [6, 6]]), (0.5, [2], None)],
)
def test_only_uncertain_images_get_more_views(
    threshold: float, batches: list[int], averaged: list[list[float]] | None
) -> None:
    """Confidences are 0.88 and 0.5 at temperature 0.5, and below 0.8 without it."""
    sizes: list[int] = []

    def predict(images: np.ndarray) -> np.ndarray:
        sizes.append(len(images))
        first = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
        return first if len(sizes) == 1 else np.full((len(images), 2), 4.0, np.float32)

    tta = TestTimeAugmentation(horizontal_flip=True, shift=1, confidence_threshold=threshold)
    logits, no_tta = predict_with_tta(predict, SMALL, inference_config(tta, 0.5))
    assert sizes == batches
    assert no_tta.tolist() == [[2, 0], [0, 0]]  # divided by the temperature
    assert logits.tolist() == (averaged or no_tta.tolist())


FLIP = TestTimeAugmentation(horizontal_flip=True, shift=0, confidence_threshold=0.9)


def predict_pixels(images: np.ndarray, config: InferenceConfig) -> tuple[np.ndarray, np.ndarray]:
    """The logits are the first row of pixels."""
    return predict_with_tta(lambda view: view[:, 0, :, 0], images, config)


def calibrated(
    logits: np.ndarray, labels: np.ndarray, tta: TestTimeAugmentation, rejection_rate: float
) -> tuple[InferenceConfig, np.ndarray]:
    """The fitted settings, and the probabilities of the most probable class by them."""
    split = Split(logits[:, None, :, None], np.eye(logits.shape[1], dtype=np.float32)[labels])
    # Another temperature than 1 would change the logits that are fitted.
    fitted = calibrate(predict_pixels, split, inference_config(tta, 4.0), rejection_rate)
    return fitted, metrics.softmax(predict_pixels(split.images, fitted)[0]).max(axis=1)


@pytest.mark.parametrize("tta", [NO_TTA, FLIP])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_temperature_is_the_factor_of_the_logits_and_the_threshold_rejects_the_rate(
    factor: float, tta: TestTimeAugmentation
) -> None:
    """Labels are drawn by the softmax of the logits before they were multiplied."""
    generator = np.random.default_rng(1)
    logits = 3 * generator.normal(size=(5_000, 10))
    if tta.horizontal_flip:
        logits += logits[:, ::-1]  # which the mirror image has, too
    cumulative = metrics.softmax(logits).astype(float).cumsum(axis=1)
    labels = (cumulative < generator.random((5_000, 1)) * cumulative[:, -1:]).sum(axis=1)
    fitted, confidence = calibrated(factor * logits, labels, tta, 0.1)
    assert fitted.temperature == pytest.approx(factor, rel=0.06)
    rejected = confidence < fitted.rejection_threshold
    assert rejected.mean() == pytest.approx(0.1, abs=0.005)


def test_the_loss_is_that_of_predictions_in_which_certain_images_are_not_augmented() -> None:
    generator = np.random.default_rng(1)
    logits = 2 * generator.normal(size=(2_000, 3))
    labels = (logits + 3 * generator.normal(size=logits.shape)).argmax(axis=1)
    config, _ = calibrated(logits, labels, FLIP, 0.05)

    def loss(temperature: float) -> float:
        at = config.model_copy(update={"temperature": temperature})
        return metrics.cross_entropy(labels, predict_pixels(logits[:, None, :, None], at)[0])

    best = min(TEMPERATURES, key=loss)
    assert config.temperature == pytest.approx(best, rel=0.03)  # the prior may move it by a step
    assert abs(best - 1) > 0.3


def test_a_few_images_that_are_all_correct_give_no_extreme_temperature() -> None:
    fitted, confidence = calibrated(5.0 * np.eye(10), np.arange(10), NO_TTA, 0.05)
    assert fitted.temperature == pytest.approx(0.78, abs=0.02)  # 0.67 by a prior twice as wide
    assert (confidence >= fitted.rejection_threshold).all()  # all are equally certain
    assert fitted.rejection_threshold > 0.9
