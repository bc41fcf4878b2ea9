"""A fixed whitening convolution, then blocks of two convolutions with batch normalization.

The network of airbench (Jordan, arXiv 2404.00498) with SiLU, a single operation of
TensorFlow, for GELU, and without a trained bias in the whitening.
"""

from typing import Any, Literal

import numpy as np

from pipeline.runtime import Lazy
from pipeline.training.recipe import Fraction
from pipeline.training.variant import BaseNetwork, Widths

keras = Lazy("keras")
fast_layers = Lazy("pipeline.training.layers")
winograd = Lazy("pipeline.training.winograd")

PATCH_SIZE = 2  # pixels a side of the patches that are whitened
_PATCH_COUNT = 4_805_000  # of 5,000 images of 32 pixels: enough for a covariance of 12 by 12
# Added to the components' variances, relative to a pixel's variance; without it the components of
# least variance, which are noise, would be magnified a hundredfold.
_EPSILON = 5e-4
# Rounding: the last bits of an eigendecomposition depend on the machine.
_DECIMALS = 4


class Network(BaseNetwork):
    """Whitening of 2x2 patches; per width two 3x3 convolutions, the first with 2x2 max pooling."""

    network: Literal["airbench"]
    widths: Widths
    normalization_momentum: Fraction  # of the moving statistics, a micro-batch

    def min_image_size(self, size: int) -> int:
        """One pixel is left: the whitening takes one off, each block halves the rest."""
        return 2 ** len(self.widths) + PATCH_SIZE - 1

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See BaseNetwork.build; the model for `training` takes images of any size.

        The whitening convolution starts at zero: `init_from_data` sets its weights.
        """
        layers = keras.layers
        channels = shape[2]
        normalization = (
            fast_layers.FusedBatchNormalization if training else layers.BatchNormalization
        )
        activation = fast_layers.silu if training else "silu"
        image = keras.Input((None, None, channels) if training else shape, name="image")
        # Always in float32: it magnifies differences that bfloat16 cannot represent.
        whitening = layers.Conv2D(
            2 * PATCH_SIZE**2 * channels,  # the principal components of a patch, with both signs
            PATCH_SIZE,
            name="whitening",
            trainable=False,
            dtype="float32",
            kernel_initializer="zeros",
        )
        hidden = layers.Activation(activation, name="activation_0")(whitening(image))
        for number, width in enumerate((width for width in self.widths for _ in range(2)), 1):
            # The first has too few channels for Winograd's transforms to pay.
            use_winograd = training and number > 1
            convolve = (winograd.Convolution if use_winograd else layers.Conv2D)(
                width,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=partial_dirac if training else "zeros",
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
        # Uniform with standard deviation 1 / width: logits start small.
        limit = 3**0.5 / self.widths[-1]
        probabilities = layers.Dense(
            classes,
            activation="softmax",
            use_bias=False,
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
            dtype="float32",
            name="class",
        )(hidden)
        return keras.Model(image, probabilities, name="airbench")

    def init_from_data(self, model: Any, images: Any) -> None:
        """Set the weights of the whitening convolution."""
        sample = images[: _PATCH_COUNT // (images.shape[1] - PATCH_SIZE + 1) ** 2]
        model.get_layer("whitening").set_weights(whitening_weights(np.asarray(sample)))


def whitening_weights(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel float32 (2, 2, C, 8 C) and bias float32 (8 C,) for `images` float32 (N, H, W, C).

    The outputs are the principal components of 2x2 patches, each scaled to unit variance, and
    their negatives. The first convolution of a network otherwise spends training time on learning
    them. Source: Page, How to train your ResNet, 2019.
    """
    windows = np.lib.stride_tricks.sliding_window_view(
        images.astype(np.float64), (PATCH_SIZE, PATCH_SIZE), axis=(1, 2)
    )
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(
        -1, PATCH_SIZE * PATCH_SIZE * images.shape[3]
    )
    mean = patches.mean(axis=0)
    covariance = patches.T @ patches / len(patches) - np.outer(mean, mean)
    variances, components = np.linalg.eigh(covariance)
    # A component's sign is arbitrary; make its largest entry positive.
    largest = np.abs(components).argmax(axis=0)
    components *= np.sign(components[largest, np.arange(len(largest))])
    scaled = components / np.sqrt(variances + _EPSILON * patches.var())
    kernel = np.concatenate([scaled, -scaled], axis=1).round(_DECIMALS)
    bias = -(mean.round(_DECIMALS) @ kernel)
    shaped = kernel.reshape(PATCH_SIZE, PATCH_SIZE, images.shape[3], -1)
    return shaped.astype(np.float32), bias.astype(np.float32)


def partial_dirac(shape: tuple[int, ...], dtype: str | None = None) -> Any:
    """A kernel (3, 3, C, W) whose first C filters are the identity on a channel each (Dirac); the
    others are random.

    Source: Zagoruyko and Komodakis, DiracNets, 2017, in the partial form of airbench.
    """
    rows, columns, channels, width = shape
    limit = (rows * columns * channels) ** -0.5
    dirac = np.zeros(shape, np.float32)
    identity = np.arange(min(channels, width))
    dirac[rows // 2, columns // 2, identity, identity] = 1
    is_random = np.arange(width) >= channels
    uniform = keras.random.uniform(shape, -limit, limit, dtype)
    return dirac + uniform * is_random.astype(np.float32)
