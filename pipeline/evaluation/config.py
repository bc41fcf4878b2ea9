"""The settings of inference, evaluation and comparison, as params.yaml has them."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import pydantic

from pipeline.core.params import ConfigModel, read_section
from pipeline.runtime import CpuIsa

Temperature = Annotated[float, pydantic.Field(strict=True, ge=0.01, le=100)]


class Evaluate(ConfigModel):
    """The bins of the calibration error, and the size of the gallery."""

    calibration_bins: Annotated[int, pydantic.Field(ge=1, le=1000)]
    misclassified: Annotated[int, pydantic.Field(ge=1, le=100)]  # 100 are 4 million pixels


class Compare(ConfigModel):
    """The confidence level of the intervals and of the paired tests."""

    confidence_level: Annotated[float, pydantic.Field(gt=0, lt=1)]


class Predict(ConfigModel):
    """The settings of predict beside those of inference."""

    # Probability of the most probable class below which a photo is rejected.
    rejection_threshold: Annotated[float, pydantic.Field(ge=0, le=1)]


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


class InferenceConfig(NamedTuple):
    """Test-time augmentation and softmax temperature of a variant."""

    tta: TestTimeAugmentation
    temperature: float


def read_inference_config(params: Mapping[str, Any], network: str, recipe: str) -> InferenceConfig:
    """The entries of a variant's `network` and `recipe`; PipelineError when they are missing."""
    return InferenceConfig(
        read_section(params, f"test_time_augmentation.{network}", TestTimeAugmentation),
        read_section(params, f"temperatures.{recipe}", Temperature),
    )
