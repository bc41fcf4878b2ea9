"""The study's network: convolutions with pooling, one hidden dense layer, a softmax."""

from typing import Any, Literal

from pipeline.runtime import Lazy
from pipeline.train.variant import Fraction, Variant, Width, Widths

keras = Lazy("keras")
ours = Lazy("pipeline.train.layers")


class Network(Variant):
    """Per width a 3x3 convolution, ReLU and 2x2 max pooling; then the dense layer."""

    network: Literal["plain"]
    widths: Widths
    dense: Width  # units of the hidden layer
    dropout: Fraction

    def least_side(self, side: int) -> int:
        """Whole images alone, as the dense layer has a weight for each place; a pixel is left."""
        return max(side, 2 ** len(self.widths))

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See Variant.build."""
        layers = keras.layers
        convolution = ours.Convolution if training else layers.Conv2D
        # Every layer is named: Keras's own numbering counts on over a process's networks, and the
        # names go into the saved file.
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
        return keras.Model(image, probabilities, name="plain")
