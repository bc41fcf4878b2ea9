"""EfficientNet-Lite without its classifier, and its weights for ImageNet (Apache-2.0).

Architecture: tensorflow/tpu, models/official/efficientnet/lite; the official weights, converted for
PyTorch by ML Illustrated. Batch normalization is folded into the convolutions by NumPy, as the
last bits of 1 / sqrt differ between processors (pipeline/evaluation/deterministic.py).
"""

import io
import math
import pickletools
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
import pydantic

from pipeline.core.params import ConfigModel, one_of
from pipeline.core.splits import FEATURES
from pipeline.runtime import Lazy

keras = Lazy("keras")

# Expansion, width, blocks, stride of the first block and kernel size, by stage.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, WIDTH = 32, 1280  # of the first and the last convolution, in both
EPSILON = np.float32(1e-3)  # of batch normalization


class Backbone(NamedTuple):
    """Multiples of width and depth, and the SHA-256 of the weights."""

    width: float
    depth: float
    sha256: str


BACKBONES = {  # trained on images of 224 and 260 pixels
    "efficientnet_lite0": Backbone(
        1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite2": Backbone(
        1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}


class BackboneConfig(ConfigModel):
    """How a backbone computes features: of images of `side` pixels, `batch_size` at a time."""

    weights: Annotated[str, one_of(BACKBONES)]
    trained_stages: Annotated[int, pydantic.Field(ge=0, le=1)]  # the last ones; others are frozen
    side: Annotated[int, pydantic.Field(ge=32, le=512)]
    # It decides bits, too; one of a single image is computed otherwise.
    batch_size: Annotated[int, pydantic.Field(ge=2, le=1000)]


def build(backbone: Backbone, side: int, trained_stages: int) -> Any:
    """A Keras model from images float32 (N, side, side, 3) in [0, 1] to their embedding (N, 1280).

    The layer FEATURES (N, H, W, C) is before the last convolution and as many stages as are trained
    further, or is the mean over the image where there are none.
    """
    layers = keras.layers

    def convolve(x: Any, name: str, layer: Callable[..., Any], *size: int, **options: Any) -> Any:
        x = layer(*size, padding="same", name=name, **options)(x)
        return x if "project" in name else layers.ReLU(6, name=f"{name}_relu")(x)

    def round_width(width: int) -> int:
        scaled = width * backbone.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    image = keras.Input((side, side, 3), name="image")
    x = layers.Rescaling(255 / 128, -127 / 128, name="rescaling")(image)
    x = convolve(x, "stem", layers.Conv2D, STEM, 3, strides=2)
    for stage, (expansion, width, blocks, stride, kernel) in enumerate(STAGES, 1):
        if stage == len(STAGES) - trained_stages + 1:
            x = layers.Identity(name=FEATURES)(x)
        for block in range(1, (math.ceil(blocks * backbone.depth) if blocks > 1 else 1) + 1):
            name, shortcut = f"block_{stage}_{block}", x
            if expansion > 1:
                x = convolve(x, f"{name}_expand", layers.Conv2D, expansion * x.shape[-1], 1)
            strides = stride if block == 1 else 1
            x = convolve(x, f"{name}_filter", layers.DepthwiseConv2D, kernel, strides)
            x = convolve(x, f"{name}_project", layers.Conv2D, round_width(width), 1)
            if block > 1:
                x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = convolve(x, "top", layers.Conv2D, WIDTH, 1)
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    x = mean if trained_stages else layers.Identity(name=FEATURES)(mean)
    return keras.Model(image, layers.Flatten(name="embedding")(x), name="backbone")


def split(model: Any) -> tuple[Any, Any]:
    """The frozen part of the `model` of `build`, up to FEATURES, and the part that is trained."""
    features = model.get_layer(FEATURES).output
    frozen = keras.Model(model.input, features, name="backbone")
    return frozen, keras.Model(features, model.output, name="trained_stages")


def load_tensors(model: Any, tensors: dict[str, np.ndarray]) -> None:
    """Give the `model` of `build` the weights in `tensors`, the result of `read_tensors`.

    Per convolution those are its kernel, then scale, offset, mean and variance of its
    normalization. The classifier, which comes last, is left out.
    """
    arrays = [array for name, array in tensors.items() if not name.startswith("_fc.")]
    weights = []
    for group in range(0, len(arrays), 5):
        kernel, scale, offset, mean, variance = arrays[group : group + 5]
        factor = scale / np.sqrt(variance + EPSILON)
        weights += [kernel.reshape(-1, len(factor)) * factor, offset - mean * factor]
    model.set_weights([w.reshape(v.shape) for v, w in zip(model.weights, weights, strict=True)])


def read_tensors(content: bytes) -> dict[str, np.ndarray]:
    """The tensors by name, float32 (N,), in a .pth file of PyTorch before 1.6 of known SHA-256.

    It has five pickles, of which none is executed: only their opcodes are read. The fourth has the
    name of each tensor and the key of its storage, the fifth the keys in the order of the storages,
    which follow: number of elements as 8 bytes, then the values. Shapes and strides are not read:
    the kernels of these files are stored as Keras has them, (height, width, in, out).
    """
    file = io.BytesIO(content)
    *_, state, keys = [
        [str(text) for opcode, text, _ in pickletools.genops(file) if opcode.name == "BINUNICODE"]
        for _ in range(5)
    ]
    named = pairwise(text for text in state if text not in ("storage", "cpu"))
    names = {key: name for name, key in named if key.isdigit()}
    tensors, position = {}, file.tell()
    for key in keys:
        dtype = "<i8" if names[key].endswith("num_batches_tracked") else "<f4"
        count = int.from_bytes(content[position : position + 8], "little")
        tensors[names[key]] = np.frombuffer(content, dtype, count, position + 8)
        position += 8 + tensors[names[key]].nbytes
    return {name: tensors[name] for name in names.values() if tensors[name].dtype == np.float32}
