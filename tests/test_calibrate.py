"""Calibration on held-out images."""

from typing import Any

import numpy as np
import pytest

from pipeline.core.splits import Split
from pipeline.evaluation import metrics
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation
from pipeline.evaluation.inference import TEMPERATURES, calibrate, predict_with_tta

NO_TTA = TestTimeAugmentation(horizontal_flip=False, shift=0, confidence_threshold=1.0)
FLIP = TestTimeAugmentation(horizontal_flip=True, shift=0, confidence_threshold=0.9)


def predict(images: np.ndarray, config: InferenceConfig) -> tuple[np.ndarray, np.ndarray]:
    """The logits are the first row of pixels."""
    return predict_with_tta(lambda view: view[:, 0, :, 0], images, config)


def calibrated(
    logits: np.ndarray, labels: np.ndarray, tta: TestTimeAugmentation, rejection_rate: float
) -> tuple[InferenceConfig, np.ndarray]:
    """The fitted settings, and the probabilities of the most probable class by them."""
    split = Split(logits[:, None, :, None], np.eye(logits.shape[1], dtype=np.float32)[labels])
    config: dict[str, Any] = {"test_time_augmentation": tta, "rejection_threshold": 0.5}
    # Another temperature than 1 would change the logits that are fitted.
    fitted = calibrate(predict, split, InferenceConfig(temperature=4.0, **config), rejection_rate)
    return fitted, metrics.softmax(predict(split.images, fitted)[0]).max(axis=1)


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
        return metrics.cross_entropy(labels, predict(logits[:, None, :, None], at)[0])

    best = min(TEMPERATURES, key=loss)
    assert config.temperature == pytest.approx(best, rel=0.03)  # the prior may move it by a step
    assert abs(best - 1) > 0.3


def test_a_few_images_that_are_all_correct_give_no_extreme_temperature() -> None:
    fitted, confidence = calibrated(5.0 * np.eye(10), np.arange(10), NO_TTA, 0.05)
    assert 0.4 < fitted.temperature < 1
    assert (confidence >= fitted.rejection_threshold).all()  # all are equally certain
    assert fitted.rejection_threshold > 0.9
