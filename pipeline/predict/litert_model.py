"""Inference with a .tflite model by LiteRT, without importing TensorFlow, which takes seconds."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from pipeline import runtime
from pipeline.base.errors import PipelineError
from pipeline.evaluate import labelled, views
from pipeline.evaluate.manner import Manner


class LiteRTModel:
    """A .tflite file of evaluate or export: its `classes`, and the side of its images in pixels."""

    def __init__(self, path: Path) -> None:
        """Raises PipelineError when LiteRT cannot run the file, or a class name is missing."""
        self._path = path
        self.classes = labelled.read(path)
        try:
            with runtime.silenced():  # LiteRT logs its CPU delegate to standard error
                self._interpreter = Interpreter(str(path), num_threads=runtime.threads())
                (self._input,) = self._interpreter.get_input_details()
                (self._output,) = self._interpreter.get_output_details()
                self._interpreter.allocate_tensors()
            if len(self.classes) != (outputs := self._output["shape"][-1]):
                raise ValueError(f"{len(self.classes)} class names for {outputs} outputs")
        except (ValueError, RuntimeError) as error:
            raise PipelineError(
                f"{path}: expected a model that LiteRT can run, found another "
                f"({' '.join(str(error).split())}); delete it and run `dvc repro`"
            ) from error
        self.side = int(self._input["shape"][-2])

    def predict_logits(
        self, images: np.ndarray, *, batch_size: int, inference_config: Manner
    ) -> np.ndarray:
        """Logits float64 (N, K) of `images` float32 (N, side, side, 3) in [0, 1].

        With the test-time augmentation and the temperature of `inference_config`. Raises
        PipelineError when a logit is infinite or NaN.
        """

        def predict(view: np.ndarray) -> np.ndarray:
            starts = range(0, len(view), batch_size)
            return np.concatenate([self._run(view[at : at + batch_size]) for at in starts])

        tta, temperature = inference_config
        logits, _ = views.asked(predict, images, tta, temperature)
        if not np.isfinite(logits).all():
            raise PipelineError(
                f"{self._path}: expected finite logits, found infinite ones or NaN; lower "
                "learning_rate, as the training diverged, and train again"
            )
        return logits

    def _run(self, batch: np.ndarray) -> np.ndarray:
        # Both return at once where the size of the batch is as before.
        self._interpreter.resize_tensor_input(self._input["index"], batch.shape)
        self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._input["index"], batch)
        self._interpreter.invoke()
        logits: np.ndarray = self._interpreter.get_tensor(self._output["index"])
        return logits
