"""Adam (Kingma and Ba, arXiv 1412.6980), Keras's own; its learning rate decays linearly to 0."""

from typing import Any

from pipeline.runtime import Lazy
from pipeline.training.recipe import BaseRecipe

keras = Lazy("keras")


class Recipe(BaseRecipe):
    """The settings of every recipe."""

    def build_optimizer(self, steps: int) -> Any:
        """See BaseRecipe.build_optimizer."""
        decay = keras.optimizers.schedules.PolynomialDecay(self.learning_rate, steps, 0.0)
        return keras.optimizers.Adam(decay)
