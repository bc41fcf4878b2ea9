"""The study's network: convolutions with pooling, one hidden dense layer, a softmax."""

from typing import Any, Literal

from pipeline.runtime import Lazy
from pipeline.training.recipe import Fraction
from pipeline.training.variant import BaseNetwork, Width, Widths

keras = Lazy("keras")
fast_layers = Lazy("pipeline.training.layers")


class Network(BaseNetwork):
    """Per width a 3x3 convolution, ReLU and 2x2 max pooling; then the dense layer."""

    network: Literal["cnn"]
    widths: Widths
    dense: Width  # units of the hidden layer
    dropout: Fraction

    def min_image_size(self, size: int) -> int:
        """The full size, as the dense layer has a weight per pixel; pooling leaves at least one."""
        return max(size, 2 ** len(self.widths))

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See BaseNetwork.build."""
        layers = keras.layers
        convolution = fast_layers.Convolution if training else layers.Conv2D
        # Explicit layer names: Keras numbers its own over all networks of a process, and the saved
        # file contains them.
        image = hidden = keras.Input(shape, name="image")
        for number, width in enumerate(self.widths, 1):
            convolve = convolution(
                width, 3, padding="same", activation="relu", name=f"convolution_{number}"
            )
            hidden = layers.MaxPooling2D(name=f"pooling_{number}")(convolve(hidden))
        hidden = layers.Flatten(name="flatten")(hidden)
        hidden = layers.Dense(self.dense, activation="relu", name="dense")(hidden)
        if self.dropout > 0:
            hidden = layers.Dropout(self.dropout, name="dropout")(hidden)
        probabilities = layers.Dense(classes, activation="softmax", name="class")(hidden)
        return keras.Model(image, probabilities, name="cnn")
