"""Calibration on held-out images, and the table of benchmarks/calibrate.py."""

import calibrate
import numpy as np
import pytest

from pipeline.core.splits import Split
from pipeline.evaluation import metrics
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation
from pipeline.evaluation.inference import HeldOutLogits, held_out_logits
from pipeline.evaluation.inference import calibrate as calibrate_config

NO_TTA = TestTimeAugmentation(horizontal_flip=False, shift=0, confidence_threshold=1.0)
TTA = TestTimeAugmentation(horizontal_flip=True, shift=1, confidence_threshold=0.9)
IMAGES = 5_000


def held_out(factor: float, images: int = IMAGES) -> HeldOutLogits:
    """Labels drawn by the softmax of logits, and those logits times `factor`."""
    generator = np.random.default_rng(1)
    logits = 3 * generator.normal(size=(images, 10))
    cumulative = metrics.softmax(logits).astype(float).cumsum(axis=1)
    labels = (cumulative < generator.random((images, 1)) * cumulative[:, -1:]).sum(axis=1)
    return HeldOutLogits(labels, factor * logits, factor * logits)


@pytest.mark.parametrize("tta", [NO_TTA, TTA])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_temperature_is_the_factor_of_the_logits_and_the_threshold_rejects_the_rate(
    factor: float, tta: TestTimeAugmentation
) -> None:
    held = held_out(factor)
    config = InferenceConfig(test_time_augmentation=tta, temperature=1.0, rejection_threshold=0.5)
    fitted = calibrate_config(held, config, 0.1)
    assert fitted.temperature == pytest.approx(factor, rel=0.06)
    probabilities = metrics.softmax(held.at(fitted.temperature, tta.confidence_threshold))
    rejected = probabilities.max(axis=1) < fitted.rejection_threshold
    assert rejected.mean() == pytest.approx(0.1, abs=0.005)


def test_a_few_images_that_are_all_correct_give_no_extreme_temperature() -> None:
    logits = 5.0 * np.eye(10)
    held = HeldOutLogits(np.arange(10), logits, logits)
    config = InferenceConfig(
        test_time_augmentation=NO_TTA, temperature=1.0, rejection_threshold=0.5
    )
    fitted = calibrate_config(held, config, 0.05)
    assert 0.4 < fitted.temperature < 1
    confidence = metrics.softmax(held.at(fitted.temperature, 1.0)).max(axis=1)
    assert (confidence >= fitted.rejection_threshold).all()  # all are equally certain
    assert fitted.rejection_threshold > 0.9


def test_held_out_logits_are_those_of_every_view_at_temperature_1() -> None:
    split = Split(np.zeros((2, 4, 4, 3), np.float32), np.eye(2, dtype=np.float32)[::-1])
    config = InferenceConfig(test_time_augmentation=TTA, temperature=4.0, rejection_threshold=0.5)

    def predict(images: np.ndarray, *, config: InferenceConfig) -> tuple[np.ndarray, np.ndarray]:
        assert config.test_time_augmentation.confidence_threshold > 1
        assert config.temperature == 1
        return images[:, 0, 0] + 1, images[:, 0, 0]

    held = held_out_logits(predict, split, config)
    assert held.labels.tolist() == [1, 0]
    assert (held.no_tta.max(), held.with_tta.max()) == (0, 1)


def test_table_counts_views_and_calibration() -> None:
    rows = calibrate.threshold_table(held_out(0.5), TTA, 15).set_index("confidence threshold")
    assert rows.loc[1.0, "views"] == pytest.approx(6, abs=0.01)
    assert rows["views"].is_monotonic_increasing
    assert 1 < rows.loc[0.8, "views"] < 5
    assert (rows["at temperature 1"] > 0.1).all()
    assert (rows["calibration error"] < 0.02).all()
    assert (rows["below 0.3"] < rows["below 0.5"]).all()
