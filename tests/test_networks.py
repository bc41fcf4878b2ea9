"""Builders by shape and parameter count; the counts are the study's."""

import numpy as np
import pytest
from conftest import PROJECT

from pipeline import config, settings

pytestmark = pytest.mark.usefixtures("tensorflow_started")
PARAMS = config.read(PROJECT / "params.yaml")


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("baseline", 66_170), ("improved", 89_834), ("deep", 666_026), ("final", 529_322)],
)
def test_variant_is_the_studys_network(variant: str, parameters: int) -> None:
    from pipeline import networks

    network = networks.build(settings.variant(PARAMS, variant))
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, 10)
    assert network.count_params() == parameters
    probabilities = network.predict_on_batch(np.zeros((2, 32, 32, 3), np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_every_network_has_a_schema_of_its_knobs() -> None:
    from pipeline import networks

    assert set(networks.BUILDERS) == set(settings.VARIANTS)


def test_every_optimizer_of_the_schema_is_built() -> None:
    from typing import get_args

    from pipeline import fit

    assert set(fit.OPTIMIZERS) == set(
        get_args(settings.Recipe.model_fields["optimizer"].annotation)
    )


def test_dropout_layer_only_where_asked() -> None:
    from pipeline import networks

    with_dropout = networks.plain(widths=[4], dense=4, dropout=0.5)
    without = networks.plain(widths=[4], dense=4, dropout=0.0)
    assert [layer.name for layer in with_dropout.layers].count("dropout") == 1
    assert "dropout" not in [layer.name for layer in without.layers]
