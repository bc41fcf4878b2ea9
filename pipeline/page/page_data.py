"""Schema of the page: its settings in params.yaml, and the JSON that the scripts in web/ read."""

from typing import Annotated, Literal

import pydantic

from pipeline.core.params import ConfigModel
from pipeline.datasets.config import CropMode
from pipeline.evaluation.config import TestTimeAugmentation

# NaN, a blank cell for pandas, is null in JSON.
Nullable = Annotated[float | None, pydantic.BeforeValidator(lambda x: x if x == x else None)]
Time = tuple[float, str] | None  # seconds and machine; None: not measured


class Page(ConfigModel):
    """The variant whose network the page contains, and how many images it shows."""

    variant: str
    # Most confident test images of each true and each predicted class.
    examples: Annotated[int, pydantic.Field(ge=1, le=100)]
    misclassified: Annotated[int, pydantic.Field(ge=1, le=100)]  # of a variant, most confident
    samples: Annotated[int, pydantic.Field(ge=1, le=50)]  # of a class; fewer above PNG_PIXELS
    jpeg_quality: Annotated[int, pydantic.Field(ge=1, le=95)]


class PageModel(pydantic.BaseModel, frozen=True, allow_inf_nan=False):
    """A part of the data; other keys of an input, such as a column of a table, are left out."""


class RankingRow(PageModel, frozen=True):
    """A row of comparison.csv, with the further `metrics` by their heading.

    `better_than` has the variants whose accuracy is significantly lower. Published accuracy and
    training time in the notebook are the study's.
    """

    variant: str
    seeds: int
    accuracy: float
    accuracy_deviation: Nullable
    accuracy_low: float
    accuracy_high: float
    published_accuracy: Nullable = None
    loss: float
    metrics: dict[str, float]
    parameters: int
    better_than: list[str]
    time: Time
    notebook_time: Time


class Variant(PageModel, frozen=True):
    """Results of a variant: `history` by epoch, None without validation images; `scores` by class.

    `confusion` has a row per true class. `examples` has (index, actual, predicted, confidence) of
    test images. `settings` are the parameters of the training, in YAML.
    """

    history: dict[Literal["accuracy", "val_accuracy", "loss", "val_loss"], list[Nullable]]
    confusion: list[list[int]]
    scores: dict[Literal["precision", "recall", "f1", "support"], list[float]]
    examples: list[tuple[int, int, int, float]]
    settings: str


Ones = tuple[Literal[1], Literal[1]]
Activation = Literal["linear", "relu", "silu"]
Elementwise = Literal["InputLayer", "Activation", "Dropout", "Flatten"]


class _BaseLayer(PageModel, frozen=True):
    """The configuration of a Keras layer; network.js computes no other values.

    In a chain of layers each is called once, the input never. `weights` are the shapes of its
    weights in Keras's order.
    """

    calls: Annotated[int, pydantic.Field(le=1)]
    weights: list[list[int]]
    data_format: Literal["channels_last"] = "channels_last"


class Layer(_BaseLayer, frozen=True):
    class_name: Literal[Elementwise, "Conv2D", "BatchNormalization", "GlobalMaxPooling2D"]
    activation: Activation = "linear"
    padding: Literal["same", "valid"] = "valid"
    strides: Ones = (1, 1)
    dilation_rate: Ones = (1, 1)
    groups: Literal[1] = 1
    axis: Literal[-1] = -1
    epsilon: float = 0
    scale: bool = False
    center: bool = False
    keepdims: Literal[False] = False


class MaxPooling2D(_BaseLayer, frozen=True):
    class_name: Literal["MaxPooling2D"]
    pool_size: tuple[int, int]
    strides: tuple[int, int]
    padding: Literal["valid"]


class Dense(_BaseLayer, frozen=True):
    class_name: Literal["Dense"]
    activation: Activation | Literal["softmax"]
    input_shape: tuple[None, int]


AnyLayer = Annotated[Layer | MaxPooling2D | Dense, pydantic.Field(discriminator="class_name")]


class Network(PageModel, frozen=True):
    """The network of `variant`, its test `accuracy` before rounding, and how predict uses it.

    `layers` are a chain, `data` their weights, little-endian, in base64. Kernels are float16,
    vectors float32: a variance may be too small for 16 bits.
    """

    variant: str
    accuracy: float
    layers: list[AnyLayer]
    data: str
    tta: TestTimeAugmentation
    temperature: float
    rejection_threshold: float  # probability of the most probable class below which it is rejected


class PageData(PageModel, frozen=True):
    """All data of the page. Of several seeds, `variants` has the first one's results.

    `samples` has the class and the PNG file, in base64, of test images. `examples` has the images
    of all examples by index: JPEG files in base64 without `jpeg_header`, which they share.
    """

    crop_mode: CropMode
    side: int
    classes: list[str]
    confidence_level: float
    ranking: list[RankingRow]
    variants: dict[str, Variant]
    max_misclassified: int
    samples: list[tuple[int, str]]
    jpeg_header: str
    examples: dict[int, str]
    network: Network
