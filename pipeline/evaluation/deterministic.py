"""A trained model whose logits are the same on every processor.

Keras computes 1 / sqrt(variance), and TensorFlow the quotient of a softmax, by instructions whose
last bits differ between makes of processor. The variances of a trained model are constants, so
NumPy takes their roots once; the softmax is computed in float64 (metrics.py).
"""

from typing import Any

import keras
import numpy as np
from keras import layers


class FoldedBatchNormalization(layers.BatchNormalization):
    """Keras's layer at inference as one multiplication and one addition."""

    def fold(self) -> None:
        """Compute factor and offset from the layer's weights."""
        variance, mean = np.asarray(self.moving_variance), np.asarray(self.moving_mean)
        self.factor = 1 / np.sqrt(variance + np.float32(self.epsilon))
        if self.scale:
            self.factor = np.asarray(self.gamma) * self.factor
        beta = np.asarray(self.beta) if self.center else np.zeros_like(mean)
        self.offset = beta - mean * self.factor

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """`inputs` (N, H, W, C) normalized by the moving mean and variance."""
        return inputs * self.factor + self.offset


def make_deterministic(model: keras.Model) -> keras.Model:
    """`model` without its final softmax and with each batch normalization folded, same weights.

    Raises ValueError when the last layer has no softmax.
    """
    last = model.layers[-1]
    if keras.activations.serialize(getattr(last, "activation", None)) != "softmax":
        raise ValueError(f"its last layer, {last.name}, has no softmax as its activation")

    def clone_layer(layer: layers.Layer) -> layers.Layer:
        layer_class, config = type(layer), layer.get_config()
        if layer is last:
            config["activation"] = "linear"
        if layer_class is layers.BatchNormalization:
            layer_class = FoldedBatchNormalization
        return layer_class.from_config(config)

    clone = keras.models.clone_model(model, clone_function=clone_layer)
    clone.set_weights(model.get_weights())
    for layer in clone.layers:
        if isinstance(layer, FoldedBatchNormalization):
            layer.fold()
    return clone
