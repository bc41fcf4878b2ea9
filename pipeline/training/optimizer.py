"""Custom optimizers from a plain update function."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

# (gradient, variable, slots, learning rate, step): updates the variable and its slots in place.
Update = Callable[[Any, Any, Sequence[Any], Any, Any], None]


class FunctionalOptimizer(keras.optimizers.Optimizer):
    """Calls `update` for each variable.

    `slots` names the state kept per variable, tensors of its shape that start at zero, such as
    momentum. The step, float32 (), counts from 1.
    """

    def __init__(self, update: Update, learning_rate: Any, slots: Sequence[str]) -> None:
        super().__init__(learning_rate=learning_rate)
        self._update, self._slot_names = update, slots
        self._slots: list[list[Any]] = []

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self._slots = [
                [self.add_variable_from_reference(variable, name=name) for name in self._slot_names]
                for variable in variables
            ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        slots = self._slots[self._get_variable_index(variable)]
        step = tf.cast(self.iterations + 1, tf.float32)
        self._update(gradient, variable, slots, learning_rate, step)
