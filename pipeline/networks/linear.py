"""A linear head on the features of a frozen backbone."""

from typing import Any, Literal

from pipeline.core.splits import FEATURES
from pipeline.runtime import Lazy
from pipeline.training.variant import BaseNetwork

keras = Lazy("keras")


class Network(BaseNetwork):
    """Multinomial logistic regression on the features of an image (core/splits.py)."""

    network: Literal["linear"]

    def min_image_size(self, size: int) -> int:
        """The full size, as features are of one size."""
        return size

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See BaseNetwork.build; of the features (N, 1, 2, D) those of the mirror image are cut."""
        layers = keras.layers
        features = keras.Input(shape, name="image_and_mirror_image")
        image = layers.Cropping2D(((0, 0), (0, 1)), name="image")(features)
        flat = layers.Flatten(name=FEATURES)(image)
        # The loss is convex, so zeros will do; the seed decides the order of the images and flips.
        head = layers.Dense(classes, activation="softmax", kernel_initializer="zeros", name="class")
        return keras.Model(features, head(flat), name="linear")
