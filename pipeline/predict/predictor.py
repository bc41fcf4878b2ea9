"""Python API of predict: load a trained model and classify photos.

from pipeline.predict.predictor import load_predictor

predictor = load_predictor(root="path/to/project")
predictor.predict("photo.jpg")  # [Prediction(class_name='horse', probability=0.997, ...)]
"""

import os
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets.config import CropMode, read_dataset_config
from pipeline.datasets.image_loading import image_to_array, load_image
from pipeline.evaluate import manner, scores
from pipeline.evaluate.settings import Predict
from pipeline.predict.litert_model import LiteRTModel
from pipeline.report import metrics, places
from pipeline.runtime import Runtime
from pipeline.tools import lockfile
from pipeline.train.variant import networks

TOP = 3  # classes of a prediction
ANY = "*"  # instead of a variant's name
SINGLE = (str, os.PathLike, Image.Image)
EXPECTED_PHOTO = "expected a path, a PIL image, an array (H, W, 3) or an open binary file"

# An array is (H, W, 3), uint8 or float in [0, 1]; floats are rounded to 8 bits.
Photo: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | BinaryIO


@dataclass(frozen=True)
class Prediction:
    """The likeliest class of an image with its probability, and the `top` classes with theirs.

    `is_likely` is False where the probability is below `predict.unlikely` of params.yaml: the image
    may show none of the classes.
    """

    class_name: str
    probability: float
    top: tuple[tuple[str, float], ...]
    is_likely: bool


@dataclass(frozen=True)
class Predictor:
    """A trained model and its settings; `load_predictor` makes one.

    `test_accuracy` is None for a variant without metrics.
    """

    variant: str
    path: Path
    test_accuracy: float | None
    model: LiteRTModel
    inference_config: manner.Manner
    batch_size: int
    crop_mode: CropMode
    rejection_threshold: float

    def predict(self, photos: Photo | Iterable[Photo], *, top: int = TOP) -> list[Prediction]:
        """Classify one or several `photos`; `top` classes of each, or all where there are fewer.

        Raises PipelineError with a line for each photo that cannot be read.
        """
        if top < 1:
            raise PipelineError(f"top: expected 1 or more, found {top}")
        images = load_images(photos, side=self.model.side, crop_mode=self.crop_mode)
        logits = self.model.predict_logits(
            images, batch_size=self.batch_size, inference_config=self.inference_config
        )
        return [self._prediction(probabilities, top) for probabilities in scores.softmax(logits)]

    def _prediction(self, probabilities: np.ndarray, top: int) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")[:top]
        classes = tuple((self.model.classes[k], float(probabilities[k])) for k in order)
        return Prediction(*classes[0], classes, classes[0][1] >= self.rejection_threshold)


def load_predictor(root: str | Path = "", variant: str | None = None) -> Predictor:
    """The model of `variant` in the project at `root`; without `variant` the most accurate one.

    That is models/V.tflite, which evaluate writes, or reports/V.tflite, which is in git. Raises
    PipelineError when there is no such model, or a file is damaged.
    """
    root = Path(root)
    if not root.is_dir():
        raise PipelineError(f"root: expected the folder of a project, found {root}")
    params = params_file.read(root / params_file.PARAMS_FILE)
    variants = params_file.section(params, "variants", dict[str, Any])
    lock = lockfile.read_lock(root) or {}
    paths = {
        path.stem: path
        for pattern in ("reports/*.tflite", "models/*.tflite")
        for path in sorted(root.glob(pattern))
        if path.stem in variants
    }
    accuracies = {
        name: metrics.read(name, root).accuracy
        for name in paths
        if (root / places.metrics(name)).exists()
    }
    if variant is None:
        variant = max(paths, key=lambda name: accuracies.get(name, 0), default=ANY)
    if variant not in paths:
        raise _missing_model(variant, variants)
    _check_md5(paths[variant], root, lock)
    network = params_file.at(params, f"variants.{variant}.network")
    if network not in networks():  # a misspelled one has no test-time augmentation
        raise params_file.unknown_name(str(network), networks(), f"variants.{variant}.network")
    return Predictor(
        variant=variant,
        path=paths[variant],
        test_accuracy=accuracies.get(variant),
        model=LiteRTModel(paths[variant]),
        inference_config=manner.read(params, variant, network),
        batch_size=params_file.section(params, "runtime", Runtime).inference_batch_size,
        crop_mode=read_dataset_config(params).framing,
        rejection_threshold=params_file.section(params, "predict", Predict).unlikely,
    )


def _missing_model(variant: str, variants: Collection[str]) -> PipelineError:
    if variant == ANY:
        return PipelineError(
            f"{places.litert(ANY)}: expected a trained model, found none; run `dvc pull` or "
            "`make repro`"
        )
    if variant not in variants:
        return params_file.unknown_name(variant, variants, "variants")
    path = places.litert(variant)
    return PipelineError(
        f"{path}: expected a trained model, found no such file; `dvc pull {path}`, or train it: "
        f"`dvc repro evaluate@{variant}`"
    )


def _check_md5(path: Path, root: Path, lock: dict[str, lockfile.StageEntry]) -> None:
    """PipelineError when dvc.lock records another MD5 of the output at `path`."""
    out, found = path.relative_to(root).as_posix(), lockfile.file_md5(path)
    for stage, entry in lock.items():
        if entry.outs.get(out, found) != found:
            in_git = path.parent.name == "reports"
            remedy = f"`git checkout HEAD -- {out}`" if in_git else f"`dvc repro {stage}`"
            raise PipelineError(
                f"{path}: expected the bytes that {lockfile.LOCK} records, found others; delete "
                f"it, then {remedy}"
            )


def load_images(photos: Photo | Iterable[Photo], *, side: int, crop_mode: CropMode) -> np.ndarray:
    """One or several photos as float32 (N, side, side, 3) in [0, 1].

    Raises PipelineError with a line for each photo that cannot be read.
    """

    def load(photo: Photo) -> np.ndarray | PipelineError:
        try:
            return _load_image(photo, side, crop_mode)
        except PipelineError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        loaded = list(pool.map(load, _as_list(photos)))
    errors = [str(image) for image in loaded if isinstance(image, PipelineError)]
    if errors or not loaded:
        raise PipelineError("\n".join(errors) or "expected at least one image, found none")
    return np.stack(loaded)  # type: ignore[arg-type]


def _as_list(photos: Any) -> list[Photo]:
    """A single photo in a list."""
    is_single = isinstance(photos, SINGLE) or hasattr(photos, "read")
    if not is_single and not isinstance(photos, Iterable):
        raise PipelineError(f"{EXPECTED_PHOTO}, found {type(photos).__name__}")
    return [photos] if is_single or getattr(photos, "ndim", 4) < 4 else list(photos)


def _load_image(photo: Photo, side: int, crop_mode: CropMode) -> np.ndarray:
    """`photo` as float32 (side, side, 3) in [0, 1]."""
    if isinstance(photo, np.ndarray):
        photo = _to_pil(photo)
    if not isinstance(photo, SINGLE) and not hasattr(photo, "read"):
        raise PipelineError(f"{EXPECTED_PHOTO}, found {type(photo).__name__}")
    if not isinstance(photo, Image.Image):
        return load_image(photo, side=side, crop_mode=crop_mode)
    try:
        return image_to_array(photo.copy(), side=side, crop_mode=crop_mode)
    except (OSError, ValueError) as error:  # Pillow decodes at the first use
        raise PipelineError(f"{photo}: cannot read this image: {error}") from error


def _to_pil(array: np.ndarray) -> Image.Image:
    dtype = array.dtype
    is_float = np.issubdtype(array.dtype, np.floating)
    if is_float and array.size and array.min() >= 0 and array.max() <= 1:  # NaN is neither
        array = np.rint(255 * array).astype(np.uint8)
    if array.dtype != np.uint8 or array.shape[2:] != (3,) or not array.size:
        raise PipelineError(
            "expected an array (H, W, 3) of uint8, or of float in [0, 1], found "
            f"{array.shape} of {dtype}"
        )
    return Image.fromarray(array)
