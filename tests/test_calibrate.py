"""benchmarks/calibrate.py: the temperature that it fits, and its table of settings."""

import calibrate
import numpy as np
import pytest

from pipeline.evaluate import scores
from pipeline.evaluate.views import ONE, Views

TTA = Views(mirrored=True, shift=1, sure=0.9)
IMAGES = 20_000


def held_out(factor: float, views: Views) -> calibrate.Held:
    """Labels drawn by the softmax of logits, and those logits times `factor`."""
    generator = np.random.default_rng(1)
    logits = 3 * generator.normal(size=(IMAGES, 10))
    cumulative = scores.softmax(logits).astype(float).cumsum(axis=1)
    labels = (cumulative < generator.random((IMAGES, 1)) * cumulative[:, -1:]).sum(axis=1)
    return calibrate.Held(labels, factor * logits, factor * logits, views)


@pytest.mark.parametrize(("factor", "views"), [(0.5, ONE), (3.0, ONE), (0.5, TTA)])
def test_temperature_is_the_factor_of_the_logits(factor: float, views: Views) -> None:
    assert calibrate.fitted(held_out(factor, views), 0.9) == pytest.approx(factor, rel=0.03)


def test_table_counts_views_and_calibration() -> None:
    rows = calibrate.table(held_out(0.5, TTA), 15).set_index("sure")
    assert rows.loc[1.0, "looks"] == pytest.approx(6, abs=0.01)
    assert rows["looks"].is_monotonic_increasing
    assert 1 < rows.loc[0.8, "looks"] < 5
    assert (rows["at temperature 1"] > 0.1).all()
    assert (rows["calibration error"] < 0.02).all()
    assert (rows["below 0.3"] < rows["below 0.5"]).all()


def test_views_count_where_the_first_is_unsure() -> None:
    """The first image has a confidence of 0.88 at temperature 0.5; its views' logits differ."""
    one_view = np.array([[1.0, 0.0], [0.5, 0.0]])
    held = calibrate.Held(np.array([0, 1]), one_view, -one_view, TTA)
    logits, share = held.asked(0.8, 0.5)
    assert share == 0.5
    assert logits.tolist() == [[2, 0], [-1, 0]]
    assert calibrate.Held(*held[:3], ONE).asked(0.8, 0.5)[0].tolist() == [[2, 0], [1, 0]]
