"""Progress of a training, on a terminal and in a log."""

import time
from collections.abc import Mapping

import keras
from tqdm import tqdm


class Progress(keras.callbacks.Callback):
    """A line per epoch, and below them on a terminal a bar with the time left.

    Of the `epochs` of `steps` batches `initial_epoch` were finished by an earlier process.
    """

    def __init__(self, name: str, epochs: int, steps: int, initial_epoch: int) -> None:
        super().__init__()
        self._name, self._epochs, self._steps = name, epochs, steps
        self._epoch, self._epoch_started = 0, 0.0
        self._bar = tqdm(
            total=epochs * steps,
            initial=initial_epoch * steps,
            desc=name,
            unit="batch",
            disable=None,  # where standard error is no terminal
            dynamic_ncols=True,
        )
        if initial_epoch:
            tqdm.write(f"{name}  continues after epoch {initial_epoch}/{epochs}")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._epoch, self._epoch_started = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        # The last call of an epoch counts its batches in full, though there may be fewer.
        done = self._epoch * self._steps + min(batch + 1, self._steps)
        self._bar.update(done - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        metrics = "  ".join(f"{key} {value:.4f}" for key, value in sorted((logs or {}).items()))
        seconds = time.monotonic() - self._epoch_started
        with tqdm.external_write_mode():  # above the bar
            count = f"epoch {epoch + 1}/{self._epochs}"
            print(f"{self._name}  {count}  {seconds:.1f} s  {metrics}", flush=True)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._bar.close()
