"""A trained network such that its answers are the same on every processor.

Keras takes 1 / sqrt(variance), and TensorFlow the quotient in a softmax, by an instruction whose
last bits each make of processor chooses for itself. A trained network's variances are constants, so
NumPy takes their roots once; the softmax is left to scores.py, in float64.
"""

from typing import Any

import keras
import numpy as np
from keras import layers


class FixedNormalization(layers.BatchNormalization):
    """Keras's layer for a trained network: one multiplication and one addition."""

    factor: Any = 1.0
    term: Any = 0.0

    def fix(self) -> None:
        """Take the layer's weights for final."""
        variance, mean = np.asarray(self.moving_variance), np.asarray(self.moving_mean)
        self.factor = 1 / np.sqrt(variance + np.float32(self.epsilon))
        if self.scale:
            self.factor = np.asarray(self.gamma) * self.factor
        shift = np.asarray(self.beta) if self.center else np.zeros_like(mean)
        self.term = shift - mean * self.factor

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs` (N, H, W, C) normalised by the moving mean and variance."""
        return inputs * self.factor + self.term


def portable(model: keras.Model) -> keras.Model:
    """`model` up to its last softmax, with each batch normalisation fixed; the weights are equal.

    Raises ValueError when the last layer is no softmax.
    """
    last = model.layers[-1]
    if keras.activations.serialize(getattr(last, "activation", None)) != "softmax":
        raise ValueError(f"its last layer, {last.name}, has no softmax as its activation")

    def copy(layer: layers.Layer) -> layers.Layer:
        kind, config = type(layer), layer.get_config()
        if layer is last:
            config["activation"] = "linear"
        return (FixedNormalization if kind is layers.BatchNormalization else kind).from_config(
            config
        )

    clone = keras.models.clone_model(model, clone_function=copy)
    clone.set_weights(model.get_weights())
    for layer in clone.layers:
        if isinstance(layer, FixedNormalization):
            layer.fix()
    return clone
