"""Classify photos by a trained model: `python -m pipeline.predict photo.jpg`, or from Python:

from pipeline.predict import load_predictor

predictor = load_predictor(root="path/to/project")
predictor.predict("photo.jpg")  # [Prediction(class_name='horse', probability=0.997, ...)]
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from pipeline.core.errors import WRONG_PYTHON, PipelineError

try:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    from pipeline import runtime
    from pipeline.core import paths
    from pipeline.core.params import PARAMS_FILE, lookup, read_params, read_section
    from pipeline.datasets.config import CropMode, DatasetConfig
    from pipeline.datasets.image_loading import image_to_array, load_image, printable
    from pipeline.evaluation.config import Inference, read_metadata
    from pipeline.evaluation.inference import predict_with_tta
    from pipeline.evaluation.metrics import read_metrics, softmax
    from pipeline.tools import lockfile
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"predict: {error}: {WRONG_PYTHON}")

TOP = 3  # classes of a prediction

# An array is (H, W, 3), uint8 or float in [0, 1]; floats are rounded to 8 bits.
Photo: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | BinaryIO


@dataclass(frozen=True)
class Prediction:
    """The likeliest class of an image with its probability, and the `top` classes with theirs."""

    class_name: str
    probability: float
    top: tuple[tuple[str, float], ...]
    is_likely: bool  # False: below the rejection threshold; it may show none of the classes


class LiteRTModel:
    """A .tflite file of evaluate or export, run by LiteRT: importing TensorFlow would take seconds.

    It has its `classes`, its `config`, and the `side` of its images in pixels. Raises PipelineError
    when LiteRT cannot run the file, or it has no metadata.
    """

    def __init__(self, path: Path) -> None:
        self.classes, self.config = read_metadata(path)
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

    def predict_logits(self, images: np.ndarray, *, batch_size: int) -> np.ndarray:
        """Logits float64 (N, K) of `images` float32 (N, side, side, 3) in [0, 1] by `config`.

        Raises PipelineError when a logit is infinite or NaN.
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

        return predict_with_tta(predict, images, self.config)[0]


@dataclass(frozen=True)
class Predictor:
    """A trained model; `load_predictor` makes one."""

    variant: str
    path: Path
    test_accuracy: float | None  # of a variant with metrics
    model: LiteRTModel
    batch_size: int
    crop_mode: CropMode

    def predict(self, photos: Photo | Iterable[Photo], *, top: int = TOP) -> list[Prediction]:
        """Classify one or several `photos`; `top` classes of each, or all where there are fewer.

        Raises PipelineError that names the first photo that cannot be read.
        """
        if top < 1:
            raise PipelineError(f"top: expected 1 or more, found {top}")
        images = load_images(photos, side=self.model.side, crop_mode=self.crop_mode)
        logits = self.model.predict_logits(images, batch_size=self.batch_size)
        predictions = []
        for probabilities in softmax(logits):
            order = np.argsort(-probabilities, kind="stable")[:top]
            classes = tuple((self.model.classes[k], float(probabilities[k])) for k in order)
            is_likely = classes[0][1] >= self.model.config.rejection_threshold
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
    found = [*sorted(root.glob("reports/*.tflite")), *sorted(root.glob("models/*.tflite"))]
    models = {path.stem: path for path in found if path.stem in variants}
    measured = [name for name in models if (root / paths.metrics(name)).exists()]
    accuracies = {name: read_metrics(name, root).accuracy for name in measured}
    name = variant or max(models, key=lambda name: accuracies.get(name, 0), default="*")
    if name not in models:
        if variant:
            lookup(params, f"variants.{variant}")  # raises where there is no such variant
        raise PipelineError(
            f"{paths.tflite(name)}: expected a trained model, found none; run "
            f"`dvc pull {paths.tflite(name)}` or `dvc repro`"
        )
    path, accuracy = models[name], accuracies.get(name)
    out, md5 = path.relative_to(root).as_posix(), lockfile.file_md5(path)
    if any(outs.get(out, md5) != md5 for outs in lockfile.read_outputs(root).values()):
        raise PipelineError(
            f"{path}: expected the bytes that {lockfile.LOCK} records, found others; delete it, "
            f"then run `git checkout HEAD -- {out}` where git has it, else `dvc repro`"
        )
    batch_size = read_section(params, "inference", Inference).batch_size
    crop_mode = read_section(params, "dataset", DatasetConfig).crop_mode
    return Predictor(name, path, accuracy, LiteRTModel(path), batch_size, crop_mode)


def load_images(photos: Photo | Iterable[Photo], *, side: int, crop_mode: CropMode) -> np.ndarray:
    """One or several photos as float32 (N, side, side, 3) in [0, 1]."""
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


def main(arguments: Sequence[str]) -> None:
    """Classify the images named in `arguments` and print the predictions, all or none."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict", description="Classify photos by a trained model."
    )
    parser.add_argument("images", nargs="+", help="image files; - is standard input")
    parser.add_argument("--variant", help="the model (default: the most accurate one)")
    parser.add_argument("--top", type=int, default=TOP, help=f"classes to print (default: {TOP})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    predictor = load_predictor(variant=options.variant)
    photos = [sys.stdin.buffer if name == "-" else name for name in options.images]
    predictions = predictor.predict(photos, top=options.top)
    format_output = format_json if options.json else format_text
    print(format_output(predictor, options.images, predictions), flush=True)


def format_text(predictor: Predictor, names: Sequence[str], predictions: list[Prediction]) -> str:
    """A line for each image, the likeliest class first, then a line on the model."""
    lines = []
    for name, prediction in zip(names, predictions, strict=True):
        classes = ", ".join(f"{printable(label)} {share:.1%}" for label, share in prediction.top)
        note = "" if prediction.is_likely else " (no class is likely)"
        lines.append(f"{printable(name)}: {classes}{note}")
    accuracy = predictor.test_accuracy
    measured = "not evaluated" if accuracy is None else f"test accuracy {accuracy:.1%}"
    return "\n".join([*lines, f"model: {predictor.path}, {measured}"])


def format_json(predictor: Predictor, names: Sequence[str], predictions: list[Prediction]) -> str:
    """One object, as docs/predict.md describes it; probabilities to 6 decimals."""
    rows = []
    for name, prediction in zip(names, predictions, strict=True):
        top = [{"class": label, "probability": round(share, 6)} for label, share in prediction.top]
        rows.append({"image": name, "likely": prediction.is_likely, "top": top})
    head = {"variant": predictor.variant, "test_accuracy": predictor.test_accuracy}
    path = predictor.path.as_posix()
    return json.dumps({**head, "model": path, "predictions": rows}, indent=2)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (PipelineError, OSError) as error:
        sys.exit(f"predict: {error}")
