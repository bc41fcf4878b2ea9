"""Transfer learning: the last stages of a pretrained backbone, if any, and a linear head."""

import tempfile
from typing import Any, Literal

from pipeline.core import splits
from pipeline.runtime import Lazy
from pipeline.training.recipe import Fraction
from pipeline.training.variant import BaseNetwork

keras = Lazy("keras")


class Network(BaseNetwork):
    """What follows the frozen stages of a backbone, from their features (core/splits.py)."""

    network: Literal["transfer"]
    dropout: Fraction

    def min_image_size(self, size: int) -> int:
        """The full size, as features are of one size."""
        return size

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See BaseNetwork.build; of the features those of the mirror image are cut.

        The stages that are trained start from the pretrained weights in the features' file.
        """
        layers = keras.layers
        with tempfile.NamedTemporaryFile(suffix=".keras") as file:
            file.write(splits.read_backbone(self.data, "trained_stages"))
            file.flush()
            trained_stages = keras.saving.load_model(file.name, compile=False, safe_mode=True)
        features = keras.Input(shape, name="image_and_mirror_image")
        image = layers.Cropping2D(((0, 0), (0, shape[1] // 2)), name="image")(features)
        hidden = trained_stages(layers.Identity(name=splits.FEATURES)(image))
        if self.dropout > 0:
            hidden = layers.Dropout(self.dropout, name="dropout")(hidden)
        head = layers.Dense(classes, activation="softmax", kernel_initializer="zeros", name="class")
        return keras.Model(features, head(hidden), name="transfer")
