"""Schema of the page: its settings in params.yaml, and the JSON that the scripts in web/ read.

Keys of an input that a model lacks are left out; NaN is null in JSON.
"""

from typing import Annotated, Literal

import pydantic

from pipeline.core.params import ConfigModel
from pipeline.datasets.config import CropMode
from pipeline.evaluation.config import TestTimeAugmentation

Count = Annotated[int, pydantic.Field(ge=1, le=100)]


class Page(ConfigModel):
    """The variant whose network the page contains, and how many test images it shows."""

    variant: str
    examples: Count  # of each true and each predicted class, most confident
    misclassified: Count  # of a variant, most confident
    samples: Count  # of a class; fewer above page.SAMPLE_PIXELS


class RankingRow(pydantic.BaseModel):
    """A row of comparison.csv; the study alone has published figures, several seeds a deviation.

    `better_than` has the variants whose accuracy is significantly lower. `time` are the seconds of
    the training and the machine, None if not measured.
    """

    variant: str
    seeds: int
    accuracy: float
    accuracy_deviation: float
    accuracy_low: float
    accuracy_high: float
    published_accuracy: float = float("nan")
    parameters: int
    better_than: list[str]
    time: tuple[float, str] | None


class Variant(pydantic.BaseModel):
    """Results of a variant: `history` by epoch, NaN without validation images; `scores` by class.

    `confusion` has a row per true class. `examples` has (index, actual, predicted, confidence) of
    test images, the most confident first. `settings` are the parameters of the training, in YAML.
    """

    history: dict[Literal["accuracy", "val_accuracy", "loss", "val_loss"], list[float]]
    confusion: list[list[int]]
    scores: dict[Literal["precision", "recall", "f1", "support"], list[float]]
    examples: list[tuple[int, int, int, float]]
    settings: str


Elementwise = Literal["InputLayer", "Activation", "BatchNormalization", "Dropout", "Flatten"]


class Layer(pydantic.BaseModel):
    """Configuration of a Keras layer, with the values that network.js computes.

    In a chain of layers each is called once, the input never. `weights` are the shapes of its
    weights in Keras's order.
    """

    class_name: Elementwise | Literal["Conv2D", "Dense", "MaxPooling2D", "GlobalMaxPooling2D"]
    calls: Annotated[int, pydantic.Field(le=1)]
    weights: list[list[int]]
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
    """The network of `variant`, its test `accuracy` before rounding, and how predict uses it.

    `layers` are a chain up to the logits, `data` their weights, little-endian, in base64. Kernels
    are float16, vectors float32: a variance may be too small for 16 bits.
    """

    variant: str
    accuracy: float
    layers: list[Layer]
    data: str
    tta: TestTimeAugmentation
    temperature: float
    rejection_threshold: float  # probability of the most probable class below which it is rejected


class PageData(pydantic.BaseModel):
    """All data of the page. Of several seeds, `variants` has the first one's results.

    `samples` has the class and the PNG file of test images, `examples` the WebP files of all
    examples by index, both in base64.
    """

    crop_mode: CropMode
    side: int
    classes: list[str]
    confidence_level: float
    ranking: list[RankingRow]
    variants: dict[str, Variant]
    max_misclassified: int
    samples: list[tuple[int, str]]
    examples: dict[int, str]
    network: Network
