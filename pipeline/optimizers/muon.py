"""Muon for convolution kernels, SGD with Nesterov momentum for biases and dense kernels.

Muon orthogonalizes the momentum: the update is the nearest matrix with singular values of about 1,
so that no direction of the gradient is drowned by another. Sources: Jordan et al., Muon: An
optimizer for hidden layers in neural networks, 2024; kernel normalization and the values of
params.yaml follow airbench (Jordan, arXiv 2404.00498, and its later versions).
"""

from collections.abc import Sequence
from typing import Any

import pydantic

from pipeline.runtime import Lazy
from pipeline.training.recipe import BaseRecipe, Fraction

keras = Lazy("keras")
tf = Lazy("tensorflow")
optimizer = Lazy("pipeline.training.optimizer")

# Newton-Schulz iteration: a quintic that maps singular values of 0 to 1 towards 1, steeply at 0.
# Three iterations bring all but the smallest to between 0.6 and 1.3; each costs three products.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 3


class Recipe(BaseRecipe):
    """learning_rate and momentum are those of convolution kernels; all learning rates decay
    linearly to 0 over the training."""

    momentum: Fraction
    bias_learning_rate: pydantic.PositiveFloat
    head_learning_rate: pydantic.PositiveFloat  # of dense kernels
    sgd_momentum: Fraction  # of biases and dense kernels, Nesterov
    weight_decay: Fraction  # of the same, the share per step at the full learning rate

    def build_optimizer(self, steps: int) -> Any:
        """See BaseRecipe.build_optimizer."""
        # The schedule gives the remaining share of each learning rate.
        schedule = keras.optimizers.schedules.PolynomialDecay(1.0, steps, end_learning_rate=0.0)
        return optimizer.FunctionalOptimizer(self._update, schedule, ("momentum",))

    def _update(
        self, gradient: Any, variable: Any, slots: Sequence[Any], decay: Any, step: Any
    ) -> None:
        (momentum,) = slots
        if len(variable.shape) == 4:
            self._update_kernel(gradient, variable, momentum, decay)
        else:
            self._update_nesterov(gradient, variable, momentum, decay)

    def _update_kernel(self, gradient: Any, kernel: Any, momentum: Any, decay: Any) -> None:
        momentum.assign(self.momentum * momentum + gradient)
        lookahead = gradient + self.momentum * momentum
        width = kernel.shape[-1]
        update = orthogonalize(tf.reshape(lookahead, (-1, width)))
        # Normalized to `width` unit vectors: batch normalization follows, so only the direction
        # matters, and a fixed norm keeps the meaning of the learning rate.
        normalized = kernel * (width**0.5 / tf.norm(kernel))
        step = self.learning_rate * decay
        kernel.assign(normalized - step * tf.reshape(update, kernel.shape))

    def _update_nesterov(self, gradient: Any, variable: Any, momentum: Any, decay: Any) -> None:
        is_bias = len(variable.shape) == 1
        learning_rate = self.bias_learning_rate if is_bias else self.head_learning_rate
        step = learning_rate * gradient + self.weight_decay * variable
        momentum.assign(self.sgd_momentum * momentum + step)
        variable.assign_sub(decay * (step + self.sgd_momentum * momentum))


def orthogonalize(matrix: Any) -> Any:
    """The nearest matrix to `matrix`, float32 (M, N), with all singular values about 1."""
    is_wide = matrix.shape[0] <= matrix.shape[1]
    wide = matrix if is_wide else tf.transpose(matrix)
    wide /= tf.norm(wide) + 1e-7
    linear, cubic, quintic = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        square = tf.matmul(wide, wide, transpose_b=True)
        factor = cubic * square + quintic * tf.matmul(square, square)
        wide = linear * wide + tf.matmul(factor, wide)
    return wide if is_wide else tf.transpose(wide)
