"""benchmarks/calibrate.py: the temperature that it fits, and its table of thresholds."""

import calibrate
import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.config import TestTimeAugmentation

NO_TTA = TestTimeAugmentation(horizontal_flip=False, shift=0, confidence_threshold=1.0)
TTA = TestTimeAugmentation(horizontal_flip=True, shift=1, confidence_threshold=0.9)
IMAGES = 20_000


def held_out(factor: float, tta: TestTimeAugmentation) -> calibrate.HeldOutLogits:
    """Labels drawn by the softmax of logits, and those logits times `factor`."""
    generator = np.random.default_rng(1)
    logits = 3 * generator.normal(size=(IMAGES, 10))
    cumulative = metrics.softmax(logits).astype(float).cumsum(axis=1)
    labels = (cumulative < generator.random((IMAGES, 1)) * cumulative[:, -1:]).sum(axis=1)
    return calibrate.HeldOutLogits(labels, factor * logits, factor * logits, tta)


@pytest.mark.parametrize(("factor", "tta"), [(0.5, NO_TTA), (3.0, NO_TTA), (0.5, TTA)])
def test_temperature_is_the_factor_of_the_logits(factor: float, tta: TestTimeAugmentation) -> None:
    fitted = calibrate.fit_temperature(held_out(factor, tta), 0.9)
    assert fitted == pytest.approx(factor, rel=0.03)


def test_table_counts_views_and_calibration() -> None:
    rows = calibrate.threshold_table(held_out(0.5, TTA), 15).set_index("confidence threshold")
    assert rows.loc[1.0, "views"] == pytest.approx(6, abs=0.01)
    assert rows["views"].is_monotonic_increasing
    assert 1 < rows.loc[0.8, "views"] < 5
    assert (rows["at temperature 1"] > 0.1).all()
    assert (rows["calibration error"] < 0.02).all()
    assert (rows["below 0.3"] < rows["below 0.5"]).all()
