"""The temperature that benchmarks/calibrate.py finds, and what its table says of the settings."""

import calibrate
import numpy as np
import pytest

from pipeline.evaluate import scores
from pipeline.evaluate.views import ONE, Views

SEVERAL = Views(mirrored=True, shift=1, sure=0.9)
IMAGES = 20_000


def held(factor: float, views: Views) -> calibrate.Held:
    """A network whose logits are `factor` times those by which the classes were drawn."""
    generator = np.random.default_rng(1)
    true = 3 * generator.normal(size=(IMAGES, 10))
    chances = scores.softmax(true).astype(float).cumsum(axis=1)
    labels = (chances < generator.random((IMAGES, 1)) * chances[:, -1:]).sum(axis=1)
    return calibrate.Held(labels, factor * true, factor * true, views)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("views", [ONE, SEVERAL], ids=["one", "several"])
def test_the_temperature_undoes_what_the_logits_were_multiplied_by(
    factor: float, views: Views
) -> None:
    assert calibrate.fitted(held(factor, views), 0.9) == pytest.approx(factor, rel=0.03)


def test_table_counts_views_and_says_what_the_temperature_does() -> None:
    rows = calibrate.table(held(0.5, SEVERAL), 15).set_index("sure")
    assert rows.loc[1.0, "looks"] == pytest.approx(6, abs=0.01)
    assert rows["looks"].is_monotonic_increasing
    assert 1 < rows.loc[0.8, "looks"] < 5
    assert (rows["at temperature 1"] > 0.1).all()
    assert (rows["calibration error"] < 0.02).all()
    assert (rows["below 0.3"] < rows["below 0.5"]).all()


def test_the_views_of_an_image_count_where_the_first_is_unsure() -> None:
    """Of two images the first has 0.88 at temperature 0.5; the views say otherwise of both."""
    alone = np.array([[1.0, 0.0], [0.5, 0.0]])
    asked = calibrate.Held(np.array([0, 1]), alone, -alone, SEVERAL)
    logits, enough = asked.asked(0.8, 0.5)
    assert enough == 0.5
    assert logits.tolist() == [[2, 0], [-1, 0]]
    assert calibrate.Held(*asked[:3], ONE).asked(0.8, 0.5)[0].tolist() == [[2, 0], [1, 0]]
