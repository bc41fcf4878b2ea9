"""Network topologies: one builder each, looked up by the name that params.yaml gives."""

from collections.abc import Callable, Sequence
from inspect import signature

import keras
from keras import layers

from pipeline.cifar10 import CLASSES, SIDE
from pipeline.settings import PlainVariant


def plain(*, widths: Sequence[int], dense: int, dropout: float) -> keras.Model:
    """The study's network: per width a 3x3 convolution, ReLU and 2x2 max pooling; a dense layer.

    Input float32 (N, 32, 32, 3) in [0, 1], output float32 (N, 10) class probabilities. Five
    poolings bring 32 pixels down to one, so `widths` has at most five entries.
    """
    # Every layer is named: Keras's own numbering counts on over a process's networks, and the
    # names go into the saved file.
    image = hidden = keras.Input((SIDE, SIDE, 3), name="image")
    for number, width in enumerate(widths, 1):
        convolve = layers.Conv2D(
            width, 3, padding="same", activation="relu", name=f"convolution_{number}"
        )
        hidden = layers.MaxPooling2D(name=f"pooling_{number}")(convolve(hidden))
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(dense, activation="relu", name="dense")(hidden)
    if dropout > 0:
        hidden = layers.Dropout(dropout, name="dropout")(hidden)
    probabilities = layers.Dense(len(CLASSES), activation="softmax", name="class")(hidden)
    return keras.Model(image, probabilities, name="plain")


BUILDERS: dict[str, Callable[..., keras.Model]] = {"plain": plain}


def build(variant: PlainVariant) -> keras.Model:
    """The untrained network of `variant`, its weights drawn from Keras's global seed."""
    builder = BUILDERS[variant.network]
    return builder(**{knob: getattr(variant, knob) for knob in signature(builder).parameters})
