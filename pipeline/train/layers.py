"""Layers that Keras has as well, by quicker operations of TensorFlow: the same mathematics.

For networks in training. A trained one is saved with Keras's own layers of the same weights.
"""

from typing import Any

import tensorflow as tf
from keras import layers


class Convolution(layers.Conv2D):
    """Keras's 3x3 convolution with padding, images of 2x2 pixels as matrix products.

    There each pixel meets four of the kernel's nine taps, the others the padding. On the last
    images of `deep` the products take half the time of the convolution, forwards and backwards.
    """

    def call(self, inputs: Any) -> Any:
        """`inputs` (N, H, W, C) convolved, (N, H, W, filters)."""
        if inputs.shape[1:3] != (2, 2):
            return super().call(inputs)
        product = tf.custom_gradient(_on_two_by_two)
        outputs = product(inputs, tf.convert_to_tensor(self.kernel))
        return self.activation(tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias)))


def _on_two_by_two(images: Any, kernel: Any) -> tuple[Any, Any]:
    """`images` (N, 2, 2, C) convolved with `kernel` (3, 3, C, F), padded; and its gradient.

    TensorFlow's own gradient is a sum of four wherever four products share a tap. It adds them up
    (AddN) beginning with whichever buffer is free first, so the last bits changed from run to run.
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
        spread = tf.reshape(upstream, (-1, 4 * filters))
        towards_images = tf.matmul(spread, matrix, transpose_b=True)
        # The rows, or columns, that a tap reads which looks one back, straight or one ahead.
        reads = {-1: slice(0, 1), 0: slice(0, 2), 1: slice(1, 2)}
        towards_taps = [
            tf.matmul(
                tf.reshape(images[:, reads[down], reads[right]], (-1, channels)),
                tf.reshape(upstream[:, reads[-down], reads[-right]], (-1, filters)),
                transpose_a=True,
            )
            for down in reads
            for right in reads
        ]
        return (
            tf.reshape(towards_images, tf.shape(images)),
            tf.reshape(tf.stack(towards_taps), kernel.shape),
        )

    return tf.reshape(outputs, (-1, 2, 2, filters)), gradient


def silu(inputs: Any) -> Any:
    """SiLU of `inputs`, in their dtype; the gradient is computed in float32 and so is quicker.

    In bfloat16, TensorFlow's own rounds between six operations, its slow sigmoid among them.
    """

    def gradient(upstream: Any) -> Any:
        exact = tf.cast(inputs, tf.float32)
        share = tf.sigmoid(exact)
        slope = share + tf.raw_ops.SigmoidGrad(y=share, dy=exact)
        return upstream * tf.cast(slope, upstream.dtype)

    return tf.custom_gradient(lambda values: (tf.nn.silu(values), gradient))(inputs)


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's layer without scale, in training by TensorFlow's fused operation.

    It reads its input once where Keras's own reads it four times; it has the same weights. Its
    moving variance is that of a sample, n / (n - 1) times Keras's.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs` (N, H, W, C) normalised, in their dtype; statistics are float32."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        nothing = tf.zeros((0,))
        normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones(self.beta.shape),
            offset=tf.convert_to_tensor(self.beta),
            mean=nothing,
            variance=nothing,
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        return normalized
