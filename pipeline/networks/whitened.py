"""A fixed whitening convolution, then blocks of two convolutions with batch normalisation.

The network is that of airbench (Jordan, arXiv 2404.00498) with SiLU, a single operation of
TensorFlow, for GELU, and without a trained bias in the whitening.
"""

from typing import Any, Literal

import numpy as np

from pipeline.runtime import Lazy
from pipeline.train.variant import Fraction, Variant, Widths

keras = Lazy("keras")
ours = Lazy("pipeline.train.layers")
winograd = Lazy("pipeline.train.winograd")

SIZE = 2  # pixels a side of the whitening's patches
_PATCHES = 4_805_000  # of 5,000 images of 32 pixels: enough for a covariance of 12 by 12
# Added to the components' variances, in units of a pixel's variance; without it the faintest
# ones, which are noise, would be magnified a hundredfold.
_EPSILON = 5e-4
# The last bits depend on the machine's linear algebra, and must not reach the model.
_DECIMALS = 4


class Network(Variant):
    """Whitening of 2x2 patches; per width two 3x3 convolutions, the first with 2x2 max pooling."""

    network: Literal["whitened"]
    widths: Widths
    normalization_momentum: Fraction  # of the moving statistics, a micro-batch

    def least_side(self, side: int) -> int:
        """Any size of which a pixel is left: the whitening takes one off, a block leaves half."""
        return 2 ** len(self.widths) + SIZE - 1

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See Variant.build; the one for `training` takes images of any size.

        The whitening convolution starts at zero: `start` gives it its weights.
        """
        layers = keras.layers
        channels = shape[2]
        normalization = ours.FusedBatchNormalization if training else layers.BatchNormalization
        activation = ours.silu if training else "silu"
        image = keras.Input((None, None, channels) if training else shape, name="image")
        # In float32 whatever the precision: it magnifies differences that bfloat16 does not hold.
        whitening = layers.Conv2D(
            2 * SIZE * SIZE * channels,  # both signs of every component of a patch
            SIZE,
            name="whitening",
            trainable=False,
            dtype="float32",
            kernel_initializer="zeros",
        )
        hidden = layers.Activation(activation, name="activation_0")(whitening(image))
        for number, width in enumerate((width for width in self.widths for _ in range(2)), 1):
            # Not the first, whose few channels are not worth the way there and back.
            quicker = training and number > 1
            convolve = (winograd.Convolution if quicker else layers.Conv2D)(
                width,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=passing_on if training else "zeros",
                name=f"convolution_{number}",
            )
            hidden = convolve(hidden)
            if number % 2:
                hidden = layers.MaxPooling2D(name=f"pooling_{number}")(hidden)
            normalize = normalization(
                scale=False,
                epsilon=1e-6,
                momentum=self.normalization_momentum,
                name=f"normalization_{number}",
            )
            hidden = layers.Activation(activation, name=f"activation_{number}")(normalize(hidden))
        hidden = layers.GlobalMaxPooling2D(name="pooling", dtype="float32")(hidden)
        # Uniform of standard deviation 1 / width: logits start small.
        limit = 3**0.5 / self.widths[-1]
        probabilities = layers.Dense(
            classes,
            activation="softmax",
            use_bias=False,
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
            dtype="float32",
            name="class",
        )(hidden)
        return keras.Model(image, probabilities, name="whitened")

    def start(self, model: Any, images: Any) -> None:
        """Give the whitening of `model` its weights for `images`."""
        few = images[: _PATCHES // (images.shape[1] - SIZE + 1) ** 2]
        model.get_layer("whitening").set_weights(whitening_weights(np.asarray(few)))


def whitening_weights(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel float32 (2, 2, C, 8 C) and bias float32 (8 C,) for `images` float32 (N, H, W, C).

    The outputs are the principal components of 2x2 patches, each scaled to unit variance, and
    their negatives. Learning them is what the first convolution of a network otherwise spends its
    time on. Source: Page, How to train your ResNet, 2019.
    """
    few = images.astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(few, (SIZE, SIZE), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, SIZE * SIZE * images.shape[3])
    mean = patches.mean(axis=0)
    covariance = patches.T @ patches / len(patches) - np.outer(mean, mean)
    variances, components = np.linalg.eigh(covariance)
    # A component's sign is free; its largest entry shall be positive.
    largest = np.abs(components).argmax(axis=0)
    components *= np.sign(components[largest, np.arange(len(largest))])
    scaled = components / np.sqrt(variances + _EPSILON * patches.var())
    kernel = np.concatenate([scaled, -scaled], axis=1).round(_DECIMALS)
    bias = -(mean.round(_DECIMALS) @ kernel)
    shaped = kernel.reshape(SIZE, SIZE, images.shape[3], -1)
    return shaped.astype(np.float32), bias.astype(np.float32)


def passing_on(shape: tuple[int, ...], dtype: str | None = None) -> Any:
    """A kernel (3, 3, C, W) whose first C filters hand on a channel each; the others are random.

    Source: Zagoruyko and Komodakis, DiracNets, 2017, in the partial form of airbench.
    """
    rows, columns, channels, width = shape
    limit = (rows * columns * channels) ** -0.5
    passed = np.zeros(shape, np.float32)
    first = np.arange(min(channels, width))
    passed[rows // 2, columns // 2, first, first] = 1
    drawn = np.arange(width) >= channels
    return passed + keras.random.uniform(shape, -limit, limit, dtype) * drawn.astype(np.float32)
