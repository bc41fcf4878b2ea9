"""Builders by shape and parameter count; the counts are the study's."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT

from pipeline import config, runtime, settings

pytestmark = pytest.mark.usefixtures("tensorflow_started")
PARAMS = config.read(PROJECT / "params.yaml")


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("baseline", 66_170), ("improved", 89_834), ("deep", 666_026), ("final", 529_322)],
)
def test_variant_is_the_studys_network(variant: str, parameters: int) -> None:
    from pipeline import networks

    network = networks.build(settings.variant(PARAMS, variant), training=False)
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, 10)
    assert network.count_params() == parameters
    probabilities = network.predict_on_batch(np.zeros((2, 32, 32, 3), np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_every_network_has_a_schema_of_its_knobs() -> None:
    from pipeline import networks

    assert set(networks.BUILDERS) == set(settings.VARIANTS)


def test_every_optimizer_of_the_schema_is_built() -> None:
    from pipeline import fit

    assert set(fit.OPTIMIZERS) == set(settings.RECIPES)


def test_dropout_layer_only_where_asked() -> None:
    from pipeline import networks

    with_dropout = networks.plain(widths=[4], dense=4, dropout=0.5, training=True)
    without = networks.plain(widths=[4], dense=4, dropout=0.0, training=True)
    assert [layer.name for layer in with_dropout.layers].count("dropout") == 1
    assert "dropout" not in [layer.name for layer in without.layers]


# Run by itself, as bfloat16 needs other instructions than those the tests are started with.
BFLOAT16 = """
import numpy as np
from pathlib import Path
from pipeline import config, runtime, settings
params = config.read(Path("params.yaml"))
runtime.start(settings.recipe(params, "fast"))
import keras
from pipeline import networks, whitening
variant = settings.variant(params, "fast").model_copy(update={"widths": (8, 8, 8)})
keras.utils.set_random_seed(1)
keras.config.set_dtype_policy("mixed_bfloat16")
trained = networks.build(variant, training=True)
keras.config.set_dtype_policy("float32")
images = np.random.default_rng(1).random((40, 32, 32, 3), np.float32)
whitening.start(trained, images)
saved = networks.build(variant, training=False)
saved.set_weights(trained.get_weights())
assert {weight.dtype for weight in trained.weights} == {"float32"}
print(np.abs(trained.predict_on_batch(images) - saved.predict_on_batch(images)).max())
"""


@pytest.mark.skipif(
    not runtime.cpu_flags() & runtime.BFLOAT16_FLAGS, reason="this processor has no bfloat16"
)
def test_network_trained_in_bfloat16_answers_the_same_in_float32() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BFLOAT16],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # Eight bits of every number, through six layers; and it is not the same network.
    assert 0 < float(done.stdout) < 0.02


def test_networks_for_training_and_for_asking_have_the_same_weights() -> None:
    from pipeline import networks

    for name in ("deep", "fast"):
        variant = settings.variant(PARAMS, name)
        one, other = (networks.build(variant, training=training) for training in (True, False))
        assert [weight.path for weight in one.weights] == [weight.path for weight in other.weights]
        assert [weight.shape for weight in one.weights] == [w.shape for w in other.weights]


def test_first_filters_pass_their_channel_on() -> None:
    from pipeline import networks

    kernel = np.asarray(networks.passing_on((3, 3, 4, 6)))
    image = np.random.default_rng(1).random((5, 4), np.float32)
    np.testing.assert_array_equal(image @ kernel[1, 1, :, :4], image)
    assert np.count_nonzero(kernel[..., :4]) == 4
    drawn = kernel[..., 4:]
    assert abs(drawn).max() <= 1 / 6  # 36 inputs to the power of -1/2
    assert drawn.std() == pytest.approx(1 / 6 / 3**0.5, rel=0.2)
