"""The layers for training compute what Keras's own do, forward and backward."""

from typing import Any

import lazy
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")
CHANNELS, FILTERS = 16, 12


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def convolution(kind: Any, **settings: Any) -> Any:
    """A 3x3 convolution of `kind` whose weights are those of every other."""
    layer = kind(FILTERS, 3, padding="same", **settings)
    layer.build((None, None, None, CHANNELS))
    layer.set_weights([draw(*weight.shape) for weight in layer.weights])
    return layer


def compute(layer: Any, images: np.ndarray, graph: Any = None, **call: Any) -> list[np.ndarray]:
    """The outputs of `layer`, or its `graph`, and the gradients of a weighted sum of them."""
    inputs = lazy.tf.constant(images)
    with lazy.tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = (graph or layer)(inputs, **call)
    weights = [variable.value for variable in layer.trainable_variables]
    gradients = tape.gradient(outputs, [inputs, *weights], draw(*outputs.shape))
    return [np.asarray(tensor) for tensor in (outputs, *gradients)]


@pytest.mark.parametrize("side", [2, 4])
def test_convolution_matches_keras(side: int) -> None:
    expected, found = (
        compute(convolution(kind, activation="relu"), draw(5, side, side, CHANNELS))
        for kind in (lazy.keras.layers.Conv2D, lazy.layers.Convolution)
    )
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=5e-5)


def trace(function: Any, side: int | None = None) -> Any:
    images = lazy.tf.TensorSpec((None, side, side, CHANNELS))
    return lazy.tf.function(function).get_concrete_function(images)


def test_winograd_matches_keras_for_every_image_size_in_one_graph() -> None:
    layer = convolution(lazy.winograd.Convolution, use_bias=False)
    graph = trace(layer)
    expected = convolution(lazy.keras.layers.Conv2D, use_bias=False)
    # One tile of every size, and two and more, with and without pixels that are left over.
    for side in (*range(1, 18), 31, 33):
        images = draw(3, side, side, CHANNELS)
        found = compute(layer, images, graph)
        for one, other in zip(compute(expected, images), found, strict=True):
            assert np.sqrt(np.mean((other - one) ** 2) / np.mean(one**2)) < 1e-4, side


@pytest.mark.parametrize(("dtype", "is_keras"), [("mixed_bfloat16", True), ("float32", False)])
def test_winograd_falls_back_to_keras_in_bfloat16(dtype: str, is_keras: bool) -> None:
    graph = trace(convolution(lazy.winograd.Convolution, use_bias=False, dtype=dtype), side=7)
    assert ("Conv2D" in {node.op for node in graph.graph.as_graph_def().node}) == is_keras


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 0.02)])
def test_silu_matches_tensorflow(dtype: str, tolerance: float) -> None:
    inputs, upstream = (lazy.tf.cast(array, dtype) for array in (4 * draw(5000), draw(1, 5000)[0]))

    def gradient(function: Any, values: Any) -> Any:
        with lazy.tf.GradientTape() as tape:
            tape.watch(values)
            output = function(values)
        return tape.gradient(output, values, lazy.tf.cast(upstream, values.dtype))

    np.testing.assert_array_equal(lazy.layers.silu(inputs), lazy.tf.nn.silu(inputs))
    found = gradient(lazy.layers.silu, inputs)
    assert found.dtype == inputs.dtype
    expected = gradient(lazy.tf.nn.silu, lazy.tf.cast(inputs, "float64"))
    np.testing.assert_allclose(
        lazy.tf.cast(found, "float64"), expected, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalization_matches_keras(training: bool) -> None:
    def normalize(kind: Any) -> list[np.ndarray]:
        layer = kind(scale=False, epsilon=1e-6, momentum=0.9)
        layer.build((None, 4, 4, 6))
        layer.set_weights([np.arange(6.0), np.arange(1.0, 7.0), np.arange(2.0, 8.0)])
        found = compute(layer, 3 * draw(5, 4, 4, 6) + 2, training=training)
        return [*found, layer.moving_mean.numpy(), layer.moving_variance.numpy()]

    expected = normalize(lazy.keras.layers.BatchNormalization)
    found = normalize(lazy.layers.FusedBatchNormalization)
    if training:  # TensorFlow's variance is the unbiased one: 1 / (n - 1) for Keras's 1 / n
        count, initial = 5 * 4 * 4, 0.9 * np.arange(2, 8)
        expected[-1] = initial + (expected[-1] - initial) * count / (count - 1)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=5e-6)
    assert np.array_equal(found[-2], np.arange(1, 7)) != training
