"""The quicker layers compute what Keras's own do."""

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")


@pytest.mark.parametrize("side", [2, 4])
def test_convolution_is_keras_s(side: int) -> None:
    import tensorflow as tf
    from keras import layers

    from pipeline.train.layers import Convolution

    generator = np.random.default_rng(1)
    images = generator.normal(size=(5, side, side, 6)).astype(np.float32)
    weights = [generator.normal(size=shape) for shape in ((3, 3, 6, 7), (7,))]
    upstream = generator.normal(size=(5, side, side, 7)).astype(np.float32)

    def asked(kind: Any) -> list[np.ndarray]:
        layer = kind(7, 3, padding="same", activation="relu")
        layer.build(images.shape)
        layer.set_weights(weights)
        given = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(given)
            output = layer(given)
            score = tf.reduce_sum(output * upstream)
        gradients = tape.gradient(score, [given, layer.kernel.value, layer.bias.value])
        return [np.asarray(tensor) for tensor in (output, *gradients)]

    for expected, found in zip(asked(layers.Conv2D), asked(Convolution), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 0.02)])
def test_silu_is_tensorflow_s(precision: str, tolerance: float) -> None:
    import tensorflow as tf

    from pipeline.train.layers import silu

    generator = np.random.default_rng(1)
    exact = tf.cast(tf.constant(generator.normal(0, 4, 5000)), precision)
    upstream = tf.cast(tf.constant(generator.normal(size=5000)), precision)

    def asked(function: Any, values: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            output = function(values)
        gradient = tape.gradient(output, values, tf.cast(upstream, values.dtype))
        return output, gradient

    output, gradient = asked(silu, exact)
    assert output.dtype == gradient.dtype == exact.dtype
    np.testing.assert_array_equal(output, tf.nn.silu(exact))
    _, expected = asked(tf.nn.silu, tf.cast(exact, tf.float64))
    np.testing.assert_allclose(
        tf.cast(gradient, tf.float64), expected, rtol=tolerance, atol=tolerance
    )


def test_batch_normalization_is_keras_s() -> None:
    import tensorflow as tf
    from keras import layers

    from pipeline.train.layers import FusedBatchNormalization

    generator = np.random.default_rng(1)
    images = generator.normal(2, 3, (5, 4, 4, 6)).astype(np.float32)
    upstream = generator.normal(size=images.shape).astype(np.float32)

    def asked(kind: Any) -> dict[str, np.ndarray]:
        layer = kind(scale=False, epsilon=1e-6, momentum=0.9)
        layer.build(images.shape)
        layer.beta.assign(np.arange(6, dtype=np.float32))
        given = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(given)
            output = layer(given, training=True)
            score = tf.reduce_sum(output * upstream)
        to_images, to_beta = tape.gradient(score, [given, layer.beta.value])
        return {
            "output": output.numpy(),
            "to images": to_images.numpy(),
            "to beta": to_beta.numpy(),
            "mean": layer.moving_mean.numpy(),
            "variance": layer.moving_variance.numpy(),
        }

    expected, found = asked(layers.BatchNormalization), asked(FusedBatchNormalization)
    # TensorFlow's moving variance is that of a sample: 1 / (n - 1) for Keras's 1 / n.
    count = 5 * 4 * 4
    expected["variance"] = 0.9 + (expected["variance"] - 0.9) * count / (count - 1)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=2e-6, err_msg=name)
    assert (np.abs(expected["mean"]) > 0.05).all()


def test_batch_normalization_asked_without_training_is_keras_s() -> None:
    from keras import layers

    from pipeline.train.layers import FusedBatchNormalization

    images = np.random.default_rng(1).normal(2, 3, (5, 4, 4, 6)).astype(np.float32)
    weights = [np.arange(6.0), np.arange(1.0, 7.0), np.arange(2.0, 8.0)]
    answers = []
    for kind in (layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(scale=False, epsilon=1e-6)
        layer.build(images.shape)
        layer.set_weights(weights)
        answers.append(layer(images, training=False).numpy())
        np.testing.assert_array_equal(layer.get_weights(), weights)
    np.testing.assert_array_equal(*answers)
