"""EfficientNet-Lite without its classifier, and its weights for ImageNet (Apache-2.0).

Architecture: tensorflow/tpu, models/official/efficientnet/lite; the official weights, converted for
PyTorch by ML Illustrated. Batch normalization is folded into the convolutions by NumPy, as the
last bits of 1 / sqrt differ between processors (pipeline/evaluation/deterministic.py).
"""

import io
import math
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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


def build(backbone: Backbone, side: int) -> Any:
    """A Keras model from images float32 (N, side, side, 3) in [0, 1] to features (N, 1280)."""
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
        scaled = stage not in (1, len(STAGES))
        for block in range(1, (math.ceil(blocks * backbone.depth) if scaled else blocks) + 1):
            name, shortcut = f"block_{stage}_{block}", x
            if expansion > 1:
                x = convolve(x, f"{name}_expand", layers.Conv2D, expansion * x.shape[-1], 1)
            strides = stride if block == 1 else 1
            x = convolve(x, f"{name}_filter", layers.DepthwiseConv2D, kernel, strides)
            x = convolve(x, f"{name}_project", layers.Conv2D, round_width(width), 1)
            if block > 1:
                x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = convolve(x, "top", layers.Conv2D, WIDTH, 1)
    return keras.Model(image, layers.GlobalAveragePooling2D(name=FEATURES)(x), name="backbone")


def fold(tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The weights of `build`'s model, in its order, from the `tensors` of its .pth file.

    Per convolution a kernel (out, in / groups, height, width) and scale, offset, mean and variance
    (out,) of its normalization; then the classifier, which is left out.
    """
    arrays = [array for name, array in tensors.items() if not name.startswith("_fc.")]
    weights = []
    for group in range(0, len(arrays), 5):
        kernel, scale, offset, mean, variance = arrays[group : group + 5]
        factor = scale / np.sqrt(variance + EPSILON)
        # Keras's kernels are (height, width, in, out), depthwise ones (height, width, out, 1).
        axes = (2, 3, 1, 0) if kernel.shape[1] > 1 else (2, 3, 0, 1)
        folded = kernel * factor[:, None, None, None]
        weights += [folded.transpose(axes), offset - mean * factor]
    return weights


def read_tensors(content: bytes) -> dict[str, np.ndarray]:
    """The float32 tensors by name in a .pth file of PyTorch before 1.6, whose SHA-256 was checked.

    It has five pickles, of which none is executed: only their opcodes are read. The fourth names
    each tensor, the key of its storage, offset, shape and strides. The fifth has the keys in the
    order of the storages, which follow: number of elements as 8 bytes, then the values.
    """
    file = io.BytesIO(content)
    pickles: list[list[tuple[str, Any]]] = [
        [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(file)]
        for _ in range(5)
    ]
    *_, state, keys = pickles
    fields: dict[str, tuple[str, list[int]]] = {}  # by key: name, then offset, shape, strides
    strings: list[str] = []
    numbers: list[int] = []
    for opcode, argument in state:
        if opcode == "BINUNICODE":
            strings.append(argument)
        elif opcode == "BINPERSID":  # what precedes is the storage
            numbers = []
        elif opcode in ("BININT1", "BININT2", "BININT"):
            numbers.append(argument)
        elif opcode == "NEWFALSE":  # requires_grad, the end of a tensor
            key = next(text for text in strings if text.isdigit())
            fields[key] = strings[0], numbers
            strings, numbers = [], []
    tensors, position = {}, file.tell()
    for key in [argument for opcode, argument in keys if opcode == "BINUNICODE"]:
        start, (name, (offset, *layout)) = position + 8, fields[key]
        is_integer = name.endswith("num_batches_tracked")
        count = int.from_bytes(content[position:start], "little")
        position = start + (8 if is_integer else 4) * count
        if not is_integer:
            shape, strides = layout[: len(layout) // 2], layout[len(layout) // 2 :]
            steps = [4 * stride for stride in strides]
            tensors[name] = np.ndarray(shape, "<f4", content, start + 4 * offset, steps)
    if position != len(content):
        raise ValueError(f"expected storages up to byte {len(content)}, found {position}")
    return {name: tensors[name] for name, _ in fields.values() if name in tensors}
