"""Network topologies: one builder each, looked up by the name that params.yaml gives."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.cifar10 import CLASSES, SIDE
from pipeline.fused import Convolution, FusedBatchNormalization, silu
from pipeline.settings import Variant
from pipeline.whitening import FILTERS


def plain(*, widths: Sequence[int], dense: int, dropout: float, training: bool) -> keras.Model:
    """The study's network: per width a 3x3 convolution, ReLU and 2x2 max pooling; a dense layer.

    Input float32 (N, 32, 32, 3) in [0, 1], output float32 (N, 10) class probabilities. Five
    poolings bring 32 pixels down to one, so `widths` has at most five entries.
    """
    convolution = Convolution if training else layers.Conv2D
    # Every layer is named: Keras's own numbering counts on over a process's networks, and the
    # names go into the saved file.
    image = hidden = keras.Input((SIDE, SIDE, 3), name="image")
    for number, width in enumerate(widths, 1):
        convolve = convolution(
            width, 3, padding="same", activation="relu", name=f"convolution_{number}"
        )
        hidden = layers.MaxPooling2D(name=f"pooling_{number}")(convolve(hidden))
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(dense, activation="relu", name="dense")(hidden)
    if dropout > 0:
        hidden = layers.Dropout(dropout, name="dropout")(hidden)
    probabilities = layers.Dense(len(CLASSES), activation="softmax", name="class")(hidden)
    return keras.Model(image, probabilities, name="plain")


def whitened(
    *, widths: Sequence[int], normalization_momentum: float, training: bool
) -> keras.Model:
    """Fixed 2x2 whitening, then per width two 3x3 convolutions, the first with 2x2 max pooling.

    Input float32 (N, 32, 32, 3) in [0, 1], for `training` (N, H, W, 3) of any size from 16 pixels;
    output float32 (N, 10) class probabilities. The whitening convolution starts at zero: its
    weights are those of pipeline/whitening.py. The network is that of airbench (arXiv 2404.00498)
    with SiLU, a single operation of TensorFlow, for GELU, and without a trained bias in the
    whitening.
    """
    side = None if training else SIDE
    normalization = FusedBatchNormalization if training else layers.BatchNormalization
    activation = silu if training else "silu"
    image = keras.Input((side, side, 3), name="image")
    # In float32 whatever the precision: it magnifies differences that bfloat16 does not hold.
    whitening = layers.Conv2D(
        FILTERS, 2, name="whitening", trainable=False, dtype="float32", kernel_initializer="zeros"
    )
    hidden = layers.Activation(activation, name="activation_0")(whitening(image))
    for number, width in enumerate((width for width in widths for _ in range(2)), 1):
        convolve = layers.Conv2D(
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
            momentum=normalization_momentum,
            name=f"normalization_{number}",
        )
        hidden = layers.Activation(activation, name=f"activation_{number}")(normalize(hidden))
    hidden = layers.GlobalMaxPooling2D(name="pooling", dtype="float32")(hidden)
    # Uniform of standard deviation 1 / width: logits start small.
    limit = 3**0.5 / widths[-1]
    probabilities = layers.Dense(
        len(CLASSES),
        activation="softmax",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        dtype="float32",
        name="class",
    )(hidden)
    return keras.Model(image, probabilities, name="whitened")


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


BUILDERS: dict[str, Callable[..., keras.Model]] = {"plain": plain, "whitened": whitened}


def build(variant: Variant, *, training: bool) -> keras.Model:
    """The untrained network of `variant`, its weights drawn from Keras's global seed.

    The network for `training` has the weights of the other, in the same order; only the other can
    be loaded without code of ours.
    """
    builder = BUILDERS[variant.network]
    knobs = set(signature(builder).parameters) - {"training"}
    return builder(**{knob: getattr(variant, knob) for knob in knobs}, training=training)
