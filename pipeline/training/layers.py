"""Keras layers for training, by faster operations of TensorFlow: the same mathematics.

A trained network is saved with Keras's own layers and the same weights.
"""

from typing import Any

import tensorflow as tf
from keras import layers


class Convolution(layers.Conv2D):
    """Keras's 3x3 convolution with padding; images of 2x2 pixels as matrix products.

    There each pixel meets four of the kernel's nine taps, the others are padding. In the last
    layer of `deep` the products take half the time of the convolution, forward and backward.
    """

    def call(self, inputs: Any) -> Any:
        """`inputs` (N, H, W, C) convolved, (N, H, W, filters)."""
        if inputs.shape[1:3] != (2, 2):
            return super().call(inputs)
        product = tf.custom_gradient(_convolve_2x2)
        outputs = product(inputs, tf.convert_to_tensor(self.kernel))
        return self.activation(tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias)))


def _convolve_2x2(images: Any, kernel: Any) -> tuple[Any, Any]:
    """`images` (N, 2, 2, C) convolved with `kernel` (3, 3, C, F), padded; and its gradient.

    TensorFlow's own gradient sums four products per tap by AddN, which starts with whichever buffer
    is free first, so the last bits changed from run to run.
    """
    channels, filters = kernel.shape[2:]
    taps = [tf.unstack(row) for row in tf.unstack(kernel)]
    pixels = [(row, column) for row in range(2) for column in range(2)]
    columns = [
        tf.concat([taps[1 + r - row][1 + c - column] for r, c in pixels], 0)
        for row, column in pixels
    ]
    matrix = tf.concat(columns, 1)
    outputs = tf.matmul(tf.reshape(images, (-1, 4 * channels)), matrix)

    def gradient(upstream: Any) -> tuple[Any, Any]:
        flat = tf.reshape(upstream, (-1, 4 * filters))
        image_gradient = tf.matmul(flat, matrix, transpose_b=True)
        # The rows or columns that a tap of that offset reads.
        window = {-1: slice(0, 1), 0: slice(0, 2), 1: slice(1, 2)}
        tap_gradients = [
            tf.matmul(
                tf.reshape(images[:, window[down], window[right]], (-1, channels)),
                tf.reshape(upstream[:, window[-down], window[-right]], (-1, filters)),
                transpose_a=True,
            )
            for down in window
            for right in window
        ]
        return (
            tf.reshape(image_gradient, tf.shape(images)),
            tf.reshape(tf.stack(tap_gradients), kernel.shape),
        )

    return tf.reshape(outputs, (-1, 2, 2, filters)), gradient


def silu(inputs: Any) -> Any:
    """SiLU of `inputs`, in their dtype; the gradient is computed in float32, which is faster.

    In bfloat16, TensorFlow's own rounds between six operations, a slow sigmoid among them.
    """

    def gradient(upstream: Any) -> Any:
        precise = tf.cast(inputs, tf.float32)
        sigmoid = tf.sigmoid(precise)
        slope = sigmoid + tf.raw_ops.SigmoidGrad(y=sigmoid, dy=precise)
        return upstream * tf.cast(slope, upstream.dtype)

    return tf.custom_gradient(lambda values: (tf.nn.silu(values), gradient))(inputs)


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's layer without scale, in training by TensorFlow's fused operation.

    Reads its input once where Keras's own reads it four times; has the same weights. The moving
    variance is the unbiased one, n / (n - 1) times Keras's.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs` (N, H, W, C) normalized, in their dtype; statistics are float32."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        empty = tf.zeros((0,))
        normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones(self.beta.shape),
            offset=tf.convert_to_tensor(self.beta),
            mean=empty,
            variance=empty,
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * batch)
        return normalized
