"""Batch normalisation of a trained network, the same on every processor.

Keras takes 1 / sqrt(variance) by an instruction whose last bits each make of processor chooses for
itself, and TensorFlow would turn a division by a square root into it as well. A trained network's
variances are constants, so NumPy takes their roots once.
"""

from typing import Any

import keras
import numpy as np
from keras import layers


class FixedNormalization(layers.BatchNormalization):
    """Keras's layer without scale, for a trained network: one multiplication and one addition."""

    factor: Any = 1.0
    term: Any = 0.0

    def fix(self) -> None:
        """Take the layer's weights for final."""
        variance, mean = np.asarray(self.moving_variance), np.asarray(self.moving_mean)
        self.factor = 1 / np.sqrt(variance + np.float32(self.epsilon))
        self.term = np.asarray(self.beta) - mean * self.factor

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs` (N, H, W, C) normalised by the moving mean and variance."""
        return inputs * self.factor + self.term


def fixed(model: keras.Model) -> keras.Model:
    """`model` with each of its batch normalisations fixed; the weights are the same."""
    if not any(isinstance(layer, layers.BatchNormalization) for layer in model.layers):
        return model

    def copy(layer: layers.Layer) -> layers.Layer:
        kind = type(layer)
        return (FixedNormalization if kind is layers.BatchNormalization else kind).from_config(
            layer.get_config()
        )

    clone = keras.models.clone_model(model, clone_function=copy)
    clone.set_weights(model.get_weights())
    for layer in clone.layers:
        if isinstance(layer, FixedNormalization):
            layer.fix()
    return clone
