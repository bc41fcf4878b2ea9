"""Asking a network by LiteRT: an answer in less than a second, without TensorFlow's import."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from pipeline import runtime
from pipeline.base.errors import PipelineError
from pipeline.evaluate import views
from pipeline.evaluate.manner import Manner

REMEDY = "delete it, and run `dvc repro` for the stage evaluate"


class Network:
    """The network in a file of evaluate's: for square images of `side` pixels, with as many
    `outputs` as there are classes."""

    def __init__(self, file: Path) -> None:
        """Raises ValueError or RuntimeError when LiteRT cannot compute what `file` holds, or when
        that takes no such images or gives no row of numbers for each."""
        self._file = file
        with runtime.silenced():  # LiteRT tells standard error how it computes
            self._interpreter = Interpreter(str(file), num_threads=runtime.threads())
            (self._input,) = self._interpreter.get_input_details()
            (self._output,) = self._interpreter.get_output_details()
            self.side = int(self._input["shape_signature"][-2])
            self.outputs = int(self._output["shape_signature"][-1])
            for end, shape in (
                (self._input, (-1, self.side, self.side, 3)),
                (self._output, (-1, self.outputs)),
            ):
                found = tuple(end["shape_signature"]), end["dtype"]
                if found != (shape, np.float32) or min(self.side, self.outputs) < 1:
                    raise ValueError(f"expected float32 of shape {shape}, found {found}")
            self._make_room(1)

    def answers(self, images: np.ndarray, *, batch_size: int, manner: Manner) -> np.ndarray:
        """What it gives before the softmax, float64 (N, K), for `images` float32 (N, S, S, 3)."""

        def ask(view: np.ndarray) -> np.ndarray:
            starts = range(0, len(view), batch_size)
            return np.concatenate([self._ask(view[at : at + batch_size]) for at in starts])

        found, _ = views.asked(ask, images, manner.views, manner.temperature)
        if not np.isfinite(found).all():
            raise PipelineError(f"{self._file}: expected finite numbers, found others; {REMEDY}")
        return found

    def _ask(self, batch: np.ndarray) -> np.ndarray:
        if len(batch) != self._room:
            self._make_room(len(batch))
        self._interpreter.set_tensor(self._input["index"], batch)
        self._interpreter.invoke()
        found: np.ndarray = self._interpreter.get_tensor(self._output["index"])
        return found

    def _make_room(self, images: int) -> None:
        """For so many `images` at a time."""
        shape = (images, *self._input["shape"][1:])
        self._interpreter.resize_tensor_input(self._input["index"], shape)
        self._interpreter.allocate_tensors()
        self._room = images
