"""All that a training carries from one epoch to the next, taken out and put back.

Batches and augmentation follow from the epoch's number (pipeline/batches.py), so what is left is
the network's variables, the states of dropout's generators among them, the optimizer's, the
history so far and what early stopping remembers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from pipeline.checkpoint import HISTORY, State


class Resuming(keras.callbacks.Callback):
    """Hands the state to `save` after every epoch, and starts from the state `saved`, if any.

    Stands last among the callbacks, to see what the others have done. An epoch that ended the
    training is not saved: going on from the one before repeats it, and ends the same way.
    """

    def __init__(
        self,
        saved: State | None,
        save: Callable[[State], object],
        stopping: keras.callbacks.EarlyStopping | None,
    ) -> None:
        super().__init__()
        self._saved, self._save, self._stopping = saved, save, stopping
        self.history: dict[str, list[float]] = {
            name.removeprefix(HISTORY): values.tolist()
            for name, values in (saved or {}).items()
            if name.startswith(HISTORY)
        }

    @property
    def finished_epochs(self) -> int:
        """How many epochs the history holds."""
        return max((len(values) for values in self.history.values()), default=0)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        if self._saved is None:
            return
        # Keras makes the optimizer's variables at the first step, after this.
        self.model.optimizer.build(self.model.trainable_variables)
        for number, variable in enumerate(self._variables()):
            variable.assign(self._saved[f"variable_{number}"])
        if self._stopping is not None:
            wait, best_epoch, best = self._saved["stopping"].tolist()
            self._stopping.wait, self._stopping.best_epoch = int(wait), int(best_epoch)
            self._stopping.best = best
            self._stopping.best_weights = [
                self._saved[f"best_{number}"] for number in range(len(self.model.weights))
            ]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if not self.model.stop_training:
            self._save(self._state())

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def _state(self) -> State:
        state = {HISTORY + name: np.array(values) for name, values in self.history.items()}
        for number, variable in enumerate(self._variables()):
            state[f"variable_{number}"] = variable.numpy()
        if (stopping := self._stopping) is not None:
            state["stopping"] = np.array([stopping.wait, stopping.best_epoch, stopping.best])
            for number, weights in enumerate(stopping.best_weights):
                state[f"best_{number}"] = weights
        return state
