"""Plain stochastic gradient descent, Keras's own, at a constant learning rate."""

from typing import Any

from pipeline.runtime import Lazy
from pipeline.training.recipe import BaseRecipe

keras = Lazy("keras")


class Recipe(BaseRecipe):
    """The settings of every recipe."""

    def build_optimizer(self, steps: int) -> Any:
        """See BaseRecipe.build_optimizer."""
        return keras.optimizers.SGD(self.learning_rate)
