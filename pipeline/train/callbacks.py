"""What happens beside a training: its progress is shown, and its state is kept after each epoch."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from pipeline.train.checkpoint import HISTORY, State


class Progress(keras.callbacks.Callback):
    """How far a training is: a bar with ETA on a terminal, a line an epoch in a log.

    Shows under `name` `epochs` epochs of `steps` batches, `finished` of them in an earlier process.
    """

    def __init__(self, name: str, epochs: int, steps: int, finished: int) -> None:
        super().__init__()
        self._name, self._epochs, self._steps = name, epochs, steps
        self._epoch, self._epoch_started = 0, 0.0
        self._bar = tqdm(
            total=epochs * steps,
            initial=finished * steps,
            desc=name,
            unit="batch",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        if finished:
            tqdm.write(f"{name}  continues after epoch {finished}/{epochs}")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._epoch, self._epoch_started = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        # The last call of an epoch counts its batches in full, though there may be fewer.
        done = self._epoch * self._steps + min(batch + 1, self._steps)
        self._bar.update(done - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        figures = "  ".join(f"{key} {value:.4f}" for key, value in sorted((logs or {}).items()))
        seconds = time.monotonic() - self._epoch_started
        self._bar.set_postfix_str(figures)
        if self._bar.disable:
            print(
                f"{self._name}  epoch {epoch + 1}/{self._epochs}  {seconds:.1f} s  {figures}",
                flush=True,
            )

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._bar.close()


class Resuming(keras.callbacks.Callback):
    """Hands the state to `save` after every epoch, and starts from the state `saved`, if any.

    That state is all that a training carries from one epoch to the next: as batches and
    augmentation follow from the epoch's number (batches.py), the model's variables, the states of
    dropout's generators among them, the optimizer's, the history so far and what early stopping
    remembers. Stands last among the callbacks, to see what the others have done. An epoch that
    ended the training is not saved: going on from the one before repeats it, and ends the same way.
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
