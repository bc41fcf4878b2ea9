"""Backup of a training's state after each epoch, and its restoration."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from pipeline.core.checkpoint import State

_HISTORY = "history_"  # prefix of the metrics in a state


class BackupAndRestore(keras.callbacks.Callback):
    """Passes the state to `save` after every epoch; starts from the state `saved`, if any.

    Unlike Keras's callback of that name it keeps the history and early stopping, too. The state is
    complete: as batches and augmentation follow from the epoch's number (input_pipeline.py), it is
    the variables of the model, seed generators of dropout among them, and of the optimizer, the
    history and what early stopping remembers. Comes last among the callbacks, to see what the
    others have done. An epoch that ended the training is not saved: resuming from the one before
    repeats it, and ends the same way.
    """

    def __init__(
        self,
        saved: State | None,
        save: Callable[[State], object],
        early_stopping: keras.callbacks.EarlyStopping | None,
    ) -> None:
        super().__init__()
        self._saved, self._save, self._early_stopping = saved, save, early_stopping
        self.history: dict[str, list[float]] = {
            name.removeprefix(_HISTORY): values.tolist()
            for name, values in (saved or {}).items()
            if name.startswith(_HISTORY)
        }

    @property
    def initial_epoch(self) -> int:
        """The number of epochs in the history."""
        return max((len(values) for values in self.history.values()), default=0)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        if self._saved is None:
            return
        for number, variable in enumerate(self._variables()):
            variable.assign(self._saved[f"variable_{number}"])
        if (early_stopping := self._early_stopping) is not None:
            wait, best_epoch, best = self._saved["early_stopping"].tolist()
            early_stopping.wait, early_stopping.best_epoch = int(wait), int(best_epoch)
            early_stopping.best = best
            early_stopping.best_weights = [
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
        state = {_HISTORY + name: np.array(values) for name, values in self.history.items()}
        for number, variable in enumerate(self._variables()):
            state[f"variable_{number}"] = variable.numpy()
        if (early_stopping := self._early_stopping) is not None:
            remembered = (early_stopping.wait, early_stopping.best_epoch, early_stopping.best)
            state["early_stopping"] = np.array(remembered)
            for number, weights in enumerate(early_stopping.best_weights):
                state[f"best_{number}"] = weights
        return state
