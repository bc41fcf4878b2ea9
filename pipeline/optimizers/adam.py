"""Adam (Kingma and Ba, arXiv 1412.6980) with Keras's defaults, at a constant learning rate."""

from collections.abc import Sequence
from typing import Any

from pipeline.runtime import Lazy
from pipeline.training.recipe import BaseRecipe

tf = Lazy("tensorflow")
optimizer = Lazy("pipeline.training.optimizer")

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Recipe(BaseRecipe):
    """The settings of every recipe."""

    def build_optimizer(self, steps: int) -> Any:
        """See BaseRecipe.build_optimizer."""
        return optimizer.FunctionalOptimizer(update, self.learning_rate, ("momentum", "velocity"))


def update(
    gradient: Any, variable: Any, slots: Sequence[Any], learning_rate: Any, step: Any
) -> None:
    """One fused operation: one pass over memory, where Keras's own Adam takes ten."""
    momentum, velocity = slots
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=momentum.value.handle,
        v=velocity.value.handle,
        beta1_power=tf.pow(BETA_1, step),
        beta2_power=tf.pow(BETA_2, step),
        lr=learning_rate,
        beta1=BETA_1,
        beta2=BETA_2,
        epsilon=EPSILON,
        grad=gradient,
    )
