"""Python API of predict: load a trained model and classify photos.

from pipeline.predict.predictor import load_predictor

predictor = load_predictor(root="path/to/project")
predictor.predict("photo.jpg")  # [Prediction(class_name='horse', probability=0.997, ...)]
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from pipeline import runtime
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, lookup, read_params, read_section
from pipeline.datasets.config import CropMode, read_dataset_config
from pipeline.datasets.image_loading import image_to_array, load_image
from pipeline.evaluation.config import Inference, InferenceConfig, Predict, read_inference_config
from pipeline.evaluation.metrics import read_metrics, softmax
from pipeline.evaluation.test_time_augmentation import predict_with_tta
from pipeline.evaluation.tflite import read_labels
from pipeline.tools import lockfile

TOP = 3  # classes of a prediction

# An array is (H, W, 3), uint8 or float in [0, 1]; floats are rounded to 8 bits.
Photo: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | BinaryIO


@dataclass(frozen=True)
class Prediction:
    """The likeliest class of an image with its probability, and the `top` classes with theirs.

    `is_likely` is False where the probability is below `predict.rejection_threshold`: the image
    may show none of the classes.
    """

    class_name: str
    probability: float
    top: tuple[tuple[str, float], ...]
    is_likely: bool


class LiteRTModel:
    """A .tflite file of evaluate or export, run by LiteRT: importing TensorFlow would take seconds.

    `classes` are its class names, `side` is that of its images in pixels.
    """

    def __init__(self, path: Path) -> None:
        """Raises PipelineError when LiteRT cannot run the file, or it has no class names."""
        self.classes = read_labels(path)
        try:
            with runtime.silence_stderr():  # LiteRT logs its CPU delegate to standard error
                self._interpreter = Interpreter(str(path), num_threads=runtime.threads())
                (self._input,) = self._interpreter.get_input_details()
                (self._output,) = self._interpreter.get_output_details()
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise PipelineError(
                f"{path}: expected a model that LiteRT can run, found another "
                f"({' '.join(str(error).split())}); delete it and run `dvc repro`"
            ) from error
        self.side = int(self._input["shape"][-2])

    def predict_logits(
        self, images: np.ndarray, *, batch_size: int, inference_config: InferenceConfig
    ) -> np.ndarray:
        """Logits float64 (N, K) of `images` float32 (N, side, side, 3) in [0, 1].

        With the test-time augmentation and the temperature of `inference_config`. Raises
        PipelineError when a logit is infinite or NaN.
        """

        def predict(view: np.ndarray) -> np.ndarray:
            logits = []
            for start in range(0, len(view), batch_size):
                batch = view[start : start + batch_size]
                # Both return at once where the size of the batch is as before.
                self._interpreter.resize_tensor_input(self._input["index"], batch.shape)
                self._interpreter.allocate_tensors()
                self._interpreter.set_tensor(self._input["index"], batch)
                self._interpreter.invoke()
                logits.append(self._interpreter.get_tensor(self._output["index"]))
            return np.concatenate(logits)

        return predict_with_tta(predict, images, inference_config)[0]


@dataclass(frozen=True)
class Predictor:
    """A trained model and its settings; `load_predictor` makes one.

    `test_accuracy` is None for a variant without metrics.
    """

    variant: str
    path: Path
    test_accuracy: float | None
    model: LiteRTModel
    inference_config: InferenceConfig
    batch_size: int
    crop_mode: CropMode
    rejection_threshold: float

    def predict(self, photos: Photo | Iterable[Photo], *, top: int = TOP) -> list[Prediction]:
        """Classify one or several `photos`; `top` classes of each, or all where there are fewer.

        Raises PipelineError that names the first photo that cannot be read.
        """
        if top < 1:
            raise PipelineError(f"top: expected 1 or more, found {top}")
        images = load_images(photos, side=self.model.side, crop_mode=self.crop_mode)
        logits = self.model.predict_logits(
            images, batch_size=self.batch_size, inference_config=self.inference_config
        )
        predictions = []
        for probabilities in softmax(logits):
            order = np.argsort(-probabilities, kind="stable")[:top]
            classes = tuple((self.model.classes[k], float(probabilities[k])) for k in order)
            is_likely = classes[0][1] >= self.rejection_threshold
            predictions.append(Prediction(*classes[0], classes, is_likely))
        return predictions


def load_predictor(root: str | Path = "", variant: str | None = None) -> Predictor:
    """The model of `variant` in the project at `root`; without `variant` the most accurate one.

    That is models/V.tflite, which evaluate writes, or reports/V.tflite, which is in git. Raises
    PipelineError when there is no such model, or a file is damaged.
    """
    root = Path(root)
    params = read_params(root / PARAMS_FILE)
    variants = read_section(params, "variants", dict[str, Any])
    models = {
        path.stem: path
        for folder in ("reports", "models")
        for path in sorted((root / folder).glob("*.tflite"))
        if path.stem in variants
    }
    accuracies = {
        name: read_metrics(name, root).accuracy
        for name in models
        if (root / paths.metrics(name)).exists()
    }
    name = variant or max(models, key=lambda name: accuracies.get(name, 0), default="*")
    if name not in models:
        if variant:
            lookup(params, f"variants.{variant}")  # raises where there is no such variant
        raise PipelineError(
            f"{paths.tflite(name)}: expected a trained model, found none; run "
            f"`dvc pull {paths.tflite(name)}` or `dvc repro`"
        )
    _check_md5(models[name], root)
    network, recipe = (lookup(params, f"variants.{name}.{key}") for key in ("network", "recipe"))
    return Predictor(
        variant=name,
        path=models[name],
        test_accuracy=accuracies.get(name),
        model=LiteRTModel(models[name]),
        inference_config=read_inference_config(params, network, recipe),
        batch_size=read_section(params, "inference", Inference).batch_size,
        crop_mode=read_dataset_config(params).crop_mode,
        rejection_threshold=read_section(params, "predict", Predict).rejection_threshold,
    )


def _check_md5(path: Path, root: Path) -> None:
    """PipelineError when dvc.lock records another MD5 of the output at `path`."""
    out, md5 = path.relative_to(root).as_posix(), lockfile.file_md5(path)
    if any(outs.get(out, md5) != md5 for outs in lockfile.read_outputs(root).values()):
        raise PipelineError(
            f"{path}: expected the bytes that {lockfile.LOCK} records, found others; delete it, "
            f"then run `git checkout HEAD -- {out}` where git has it, else `dvc repro`"
        )


def load_images(photos: Photo | Iterable[Photo], *, side: int, crop_mode: CropMode) -> np.ndarray:
    """One or several photos as float32 (N, side, side, 3) in [0, 1].

    Raises PipelineError that names the first photo that cannot be read.
    """
    is_single = isinstance(photos, str | os.PathLike | Image.Image) or hasattr(photos, "read")
    batch: Any = [photos] if is_single or getattr(photos, "ndim", 4) < 4 else photos
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = pool.map(lambda photo: _load_image(photo, side, crop_mode), batch)
        return np.stack(list(images))


def _load_image(photo: Photo, side: int, crop_mode: CropMode) -> np.ndarray:
    """`photo` as float32 (side, side, 3) in [0, 1]."""
    try:
        if isinstance(photo, np.ndarray):
            array, low, high = photo, photo.min(), photo.max()  # ValueError for an empty one
            if np.issubdtype(array.dtype, np.floating):
                if not (low >= 0 and high <= 1):  # NaN is neither
                    raise ValueError(f"expected floats in [0, 1], found {low} to {high}")
                array = np.rint(255 * array).astype(np.uint8)
            photo = Image.fromarray(array)  # refuses other types and shapes
        if isinstance(photo, Image.Image):
            return image_to_array(photo.copy(), side=side, crop_mode=crop_mode)
    except (OSError, ValueError, TypeError) as error:  # Pillow decodes at the first use
        raise PipelineError(f"image: cannot read it: {error}") from error
    return load_image(photo, side=side, crop_mode=crop_mode)
