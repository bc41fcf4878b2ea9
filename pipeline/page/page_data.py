"""Schema of the page: its settings in params.yaml, and the JSON that the scripts in web/ read.

Keys of an input that a model lacks are left out; NaN is null in JSON.
"""

from typing import Annotated, Literal

import pydantic

from pipeline.core.params import ConfigModel
from pipeline.datasets.config import CropMode
from pipeline.evaluation.config import InferenceConfig

Count = Annotated[int, pydantic.Field(ge=1, le=100)]


class Page(ConfigModel):
    """The networks in the page, and how many test images it shows."""

    variant: str  # of the first network, which is in reports/ for predict
    # Two, as dvc.yaml cannot depend on as many models as a list has; repeated ones count once.
    compared_with: Annotated[list[str], pydantic.Field(min_length=2, max_length=2)]
    repository: str | None  # the address that the page links to
    examples: Count  # of each true and each predicted class, most confident
    misclassified: Count  # of a variant, most confident
    samples: Count  # of a class; fewer above page.SAMPLE_PIXELS


class RankingRow(pydantic.BaseModel):
    """A row of comparison.csv; the study alone has published figures, several seeds a deviation."""

    variant: str
    seeds: int
    accuracy: float
    accuracy_deviation: float
    accuracy_low: float
    accuracy_high: float
    published_accuracy: float = float("nan")
    parameters: int
    better_than: list[str]  # variants whose accuracy is significantly lower
    time: tuple[float, str] | None  # seconds of the training and the machine, if measured


class Variant(pydantic.BaseModel):
    """Results of a variant, of several seeds the first."""

    # By epoch; NaN without validation images.
    history: dict[Literal["accuracy", "val_accuracy", "loss", "val_loss"], list[float]]
    confusion: list[list[int]]  # a row per true class
    scores: dict[Literal["precision", "recall", "f1", "support"], list[float]]  # by class
    # Index, actual, predicted and confidence of test images, the most confident first.
    examples: list[tuple[int, int, int, float]]
    settings: str  # the parameters of the training, in YAML


Elementwise = Literal["InputLayer", "Activation", "BatchNormalization", "Dropout", "Flatten"]


class Layer(pydantic.BaseModel):
    """Configuration of a Keras layer, with the values that network.js computes."""

    class_name: Elementwise | Literal["Conv2D", "Dense", "MaxPooling2D", "GlobalMaxPooling2D"]
    calls: Annotated[int, pydantic.Field(le=1)]  # in a chain of layers one, of the input none
    weights: list[list[int]]  # their shapes, in Keras's order
    activation: Literal["linear", "relu", "silu"] = "linear"
    padding: Literal["same", "valid"] = "valid"
    strides: tuple[int, int] = (1, 1)
    pool_size: tuple[int, int] = (1, 1)
    epsilon: float = 0
    scale: bool = False
    center: bool = False
    data_format: Literal["channels_last"] = "channels_last"
    dilation_rate: tuple[Literal[1], Literal[1]] = (1, 1)
    groups: Literal[1] = 1
    axis: Literal[-1] = -1


class Network(pydantic.BaseModel):
    """The network of `variant`, a chain of `layers` up to the logits; its test `accuracy`."""

    variant: str
    accuracy: float
    layers: list[Layer]
    config: InferenceConfig


class PageData(pydantic.BaseModel):
    """All results in the page; `networks` start with that of page.variant."""

    crop_mode: CropMode
    side: int
    classes: list[str]
    confidence_level: float
    ranking: list[RankingRow]
    variants: dict[str, Variant]
    networks: list[Network]
    max_misclassified: int
    first_sample: int  # index of the test image that is classified first


class Media(pydantic.BaseModel):
    """Images as WebP and weights, in base64, which the page loads after the results."""

    samples: list[tuple[int, str]]  # class and file of test images
    # By variant, little-endian: kernels are float16, vectors float32, as a variance may be too
    # small for 16 bits.
    weights: dict[str, str]
    examples: dict[int, str]  # files of all examples by index
