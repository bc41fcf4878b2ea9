"""Settings of inference, evaluation and comparison, in params.yaml and in .tflite files.

As in TensorFlow Lite's metadata, a zip archive with associated files follows the model in a .tflite
file: LiteRT reads the model by its length, any zip program the archive. `unzip -p
models/best.tflite labels.txt` prints the class names.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic

from pipeline.core.errors import PipelineError
from pipeline.core.params import ConfigModel, lookup, read_section
from pipeline.runtime import CpuIsa

# By which logits are divided before the softmax; null: fitted on the validation images.
Temperature = Annotated[float, pydantic.Field(strict=True, ge=0.01, le=100)] | None
LABELS, CONFIG = "labels.txt", "inference.json"  # in the archive
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Compare(ConfigModel):
    """The confidence level of the intervals and of the paired tests."""

    confidence_level: Annotated[float, pydantic.Field(gt=0, lt=1)]


class Predict(ConfigModel):
    """The probability of the most probable class below which a photo is rejected."""

    rejection_threshold: Share  # where the temperature is a parameter
    rejection_rate: Share  # of the validation images, where both are fitted


class Inference(ConfigModel):
    """How trained models are run, in evaluation and prediction."""

    cpu_isa: CpuIsa
    # Images per call; it changes the order of summation, so it decides bits, too.
    batch_size: Annotated[int, pydantic.Field(gt=0, le=100_000)]


class TestTimeAugmentation(ConfigModel):
    """The augmented views of an image whose logits are averaged."""

    __test__ = False  # not a test class of pytest

    horizontal_flip: bool
    shift: Annotated[int, pydantic.Field(ge=0, le=256)]  # pixels, along the diagonal both ways
    # Probability of the most probable class from which the image alone decides.
    confidence_threshold: Annotated[float, pydantic.Field(gt=0, le=1)]


class InferenceConfig(ConfigModel):
    """Test-time augmentation, temperature and rejection threshold of a variant."""

    test_time_augmentation: TestTimeAugmentation
    temperature: float
    rejection_threshold: Share


def read_inference_config(params: Mapping[str, Any], variant: str) -> InferenceConfig:
    """The settings of `variant`, temperature 1 if it is to be fitted; PipelineError if wrong."""
    network, recipe = (lookup(params, f"variants.{variant}.{key}") for key in ("network", "recipe"))
    key = f"test_time_augmentation.{network}"
    return InferenceConfig(
        test_time_augmentation=read_section(params, key, TestTimeAugmentation),
        temperature=read_section(params, f"temperatures.{recipe}", Temperature) or 1.0,
        rejection_threshold=read_section(params, "predict", Predict).rejection_threshold,
    )


def append_metadata(path: Path, class_names: Sequence[str], config: InferenceConfig) -> None:
    """Append `config` and the `class_names`, which have no line ends, to the model in `path`."""
    labels = "".join(f"{name}\n" for name in class_names)
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in ((LABELS, labels), (CONFIG, config.model_dump_json(indent=2))):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.create_system = 3  # Unix
            archive.writestr(entry, content)


def read_metadata(path: Path) -> tuple[tuple[str, ...], InferenceConfig]:
    """Class names, in the order of outputs, and settings in `path`; PipelineError if damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            labels = archive.read(LABELS).decode("utf-8").removesuffix("\n").split("\n")
            return tuple(labels), InferenceConfig.model_validate_json(archive.read(CONFIG))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"{path}: expected a model with {LABELS} and {CONFIG}, found a missing or damaged file "
            f"({' '.join(str(error).split())}); delete it and run `dvc repro`"
        ) from error
