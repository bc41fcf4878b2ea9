"""Networks by shape, parameter count and answers; the counts of the study's are its own."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.networks import whitened
from pipeline.tools import environment
from pipeline.train import variant

pytestmark = pytest.mark.usefixtures("tensorflow_started")
PARAMS = params_file.read(PROJECT / "params.yaml")
SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(1).random((5, *SHAPE), np.float32)


def built(name: str, *, training: bool, **changes: Any) -> Any:
    chosen = variant.read(PARAMS, name).model_copy(update=changes)
    return chosen.build(shape=SHAPE, classes=10, training=training)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("baseline", 66_170),
        ("improved", 89_834),
        ("deep", 666_026),
        ("final", 529_322),
        # Whitening 312, convolutions 13,824 + 36,864 + 73,728 + 3 * 147,456, normalisation
        # three each of 640, classes 1,280.
        ("fast", 570_296),
    ],
)
def test_variant_has_the_network_that_is_known(name: str, parameters: int) -> None:
    network = built(name, training=False)
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, 10)
    assert network.count_params() == parameters
    probabilities = network.predict_on_batch(np.zeros((2, 32, 32, 3), np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_every_network_has_a_file_and_says_what_it_needs() -> None:
    assert {"plain", "whitened"} <= set(variant.networks())
    for name in variant.networks():
        assert issubclass(variant.network(name), variant.Variant)
    with pytest.raises(PipelineError, match=r"one of .*plain, .* as a network, found 'plan'"):
        variant.network("plan")


@pytest.mark.parametrize(("kind", "least"), [("baseline", 32), ("sprint", 9)])
def test_smallest_images_are_those_that_leave_a_pixel(kind: str, least: int) -> None:
    chosen = variant.read(PARAMS, kind)
    assert chosen.least_side(32) == least
    deeper = chosen.model_copy(update={"widths": (4,) * 6})
    assert deeper.least_side(32) > 32


def test_training_takes_images_of_the_smallest_side() -> None:
    network = built("sprint", training=True, widths=(4, 4, 4))
    assert network(IMAGES[:, :9, :9]).shape == (5, 10)


@pytest.mark.parametrize("training", [True, False])
def test_plain_answers_as_the_study_s_stack_of_layers(training: bool) -> None:
    import keras
    from keras import layers

    network = built("improved", training=training)
    stack: list[Any] = [keras.Input(SHAPE)]
    for width in (16, 32, 64):
        stack += [
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        ]
    stack += [layers.Flatten(), layers.Dense(64, activation="relu")]
    expected = keras.Sequential([*stack, layers.Dense(10, activation="softmax")])
    expected.set_weights(network.get_weights())
    found = np.asarray(network(IMAGES))
    np.testing.assert_allclose(found, expected(IMAGES), atol=1e-6)
    assert np.ptp(found, axis=0).max() > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_before_the_last_layer_and_only_where_asked(training: bool) -> None:
    with_dropout = [layer.name for layer in built("deep", training=training).layers]
    assert with_dropout[-3:] == ["dense", "dropout", "class"]
    assert built("deep", training=training).get_layer("dropout").rate == 0.5
    without = built("deep", training=training, dropout=0.0)
    assert "dropout" not in [layer.name for layer in without.layers]


@pytest.mark.parametrize("training", [True, False])
def test_normalisation_has_the_momentum_of_the_variant(training: bool) -> None:
    network = built("fast", training=training, normalization_momentum=0.7)
    layers = [layer for layer in network.layers if layer.name.startswith("normalization")]
    assert [layer.momentum for layer in layers] == [0.7] * 6
    assert [layer.epsilon for layer in layers] == [1e-6] * 6


def drawn(network: Any) -> Any:
    """`network` with weights that each play a part."""
    generator = np.random.default_rng(1)
    network.set_weights(
        [
            generator.uniform(0.5, 1.5, weight.shape)  # offsets, means, variances
            if weight.ndim == 1
            else generator.normal(0, weight[..., 0].size ** -0.5, weight.shape)
            for weight in network.get_weights()
        ]
    )
    return network


def test_whitened_answers_as_the_blocks_it_describes() -> None:
    import keras
    from keras import layers

    network = drawn(built("sprint", training=False, widths=(4, 6)))
    stack: list[Any] = [keras.Input(SHAPE), layers.Conv2D(24, 2, activation="silu")]
    for width in (4, 6):
        for pooling in ([layers.MaxPooling2D()], []):
            stack += [
                layers.Conv2D(width, 3, padding="same", use_bias=False),
                *pooling,
                layers.BatchNormalization(scale=False, epsilon=1e-6),
                layers.Activation("silu"),
            ]
    stack += [layers.GlobalMaxPooling2D(), layers.Dense(10, "softmax", use_bias=False)]
    expected = keras.Sequential(stack)
    expected.set_weights(network.get_weights())
    found = np.asarray(network(IMAGES))
    np.testing.assert_allclose(found, expected(IMAGES), atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3


# Run by itself, as bfloat16 needs other instructions than those the tests are started with.
BFLOAT16 = """
import numpy as np
from pathlib import Path
from pipeline import runtime
from pipeline.base import params_file
from pipeline.train import variant
params = params_file.read(Path("params.yaml"))
runtime.start("DEFAULT")
import keras
chosen = variant.read(params, "fast").model_copy(update={"widths": (8, 8, 8)})
keras.utils.set_random_seed(1)
keras.config.set_dtype_policy("mixed_bfloat16")
trained = chosen.build(shape=(32, 32, 3), classes=10, training=True)
keras.config.set_dtype_policy("float32")
images = np.random.default_rng(1).random((40, 32, 32, 3), np.float32)
chosen.start(trained, images)
saved = chosen.build(shape=(32, 32, 3), classes=10, training=False)
saved.set_weights(trained.get_weights())
assert {weight.dtype for weight in trained.weights} == {"float32"}
print(np.abs(trained.predict_on_batch(images) - saved.predict_on_batch(images)).max())
"""


@pytest.mark.skipif(
    not environment.cpu_flags() & {"avx512_bf16", "amx_bf16"},
    reason="this processor has no bfloat16",
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


@pytest.mark.parametrize("name", ["deep", "fast"])
def test_networks_for_training_and_for_asking_have_the_same_weights_and_answers(name: str) -> None:
    one, other = drawn(built(name, training=True)), drawn(built(name, training=False))
    assert [weight.path for weight in one.weights] == [weight.path for weight in other.weights]
    assert [weight.shape for weight in one.weights] == [w.shape for w in other.weights]
    np.testing.assert_allclose(one(IMAGES), other(IMAGES), atol=1e-5)


def test_layers_of_ours_are_for_training_alone() -> None:
    """A saved network has to load without them."""
    from pipeline.train.layers import silu

    def ours(name: str, training: bool) -> list[str]:
        kinds = [type(layer) for layer in built(name, training=training).layers]
        return [kind.__name__ for kind in kinds if not kind.__module__.startswith("keras.")]

    assert ours("deep", True) == ["Convolution"] * 5
    assert sorted(ours("fast", True)) == ["Convolution"] * 5 + ["FusedBatchNormalization"] * 6
    assert built("fast", training=True).get_layer("activation_6").activation is silu
    assert ours("deep", False) == ours("fast", False) == []


def test_first_filters_pass_their_channel_on() -> None:
    kernel = np.asarray(whitened.passing_on((3, 3, 4, 6)))
    image = np.random.default_rng(1).random((5, 4), np.float32)
    np.testing.assert_array_equal(image @ kernel[1, 1, :, :4], image)
    assert np.count_nonzero(kernel[..., :4]) == 4
    random = kernel[..., 4:]
    assert abs(random).max() <= 1 / 6  # 36 inputs to the power of -1/2
    assert random.std() == pytest.approx(1 / 6 / 3**0.5, rel=0.2)


def test_whitened_starts_from_channels_passed_on_and_small_logits() -> None:
    network = built("fast", training=True)
    for number, channels in enumerate((24, 48, 48, 128, 128, 128), 1):
        kernel = network.get_layer(f"convolution_{number}").get_weights()[0]
        first = range(min(channels, kernel.shape[-1]))
        np.testing.assert_array_equal(kernel[1, 1, first, first], 1)
    (head,) = network.get_layer("class").get_weights()
    assert head.std() == pytest.approx(1 / 128, rel=0.1)
