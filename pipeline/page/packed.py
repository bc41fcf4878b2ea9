"""A trained network as a page carries it: Keras's own description, and its weights in base64.

Read from the .keras file without TensorFlow, so that the page is made in seconds. Kernels are
rounded to float16, which halves them; the few numbers of biases and normalisations stay float32,
as a variance may be too small for 16 bits.
"""

import base64
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.base.errors import PipelineError

# What network.js can compute: the layers, and of their settings those that it takes for granted.
LAYERS: Mapping[str, Mapping[str, Any]] = {
    "InputLayer": {},
    "Conv2D": {"dilation_rate": [1, 1], "groups": 1, "data_format": "channels_last"},
    "BatchNormalization": {"axis": -1},
    "MaxPooling2D": {"padding": "valid", "data_format": "channels_last"},
    "GlobalMaxPooling2D": {"keepdims": False, "data_format": "channels_last"},
    "GlobalAveragePooling2D": {"keepdims": False, "data_format": "channels_last"},
    "Flatten": {},
    "Dropout": {},
    "Dense": {},
    "Activation": {},
}
ACTIVATIONS = ("linear", "relu", "silu", "softmax")


def network(path: Path, remedy: str) -> dict[str, Any]:
    """The .keras file `path` as `config`, `weights` and `data`, for JSON.

    `config` is Keras's own; `weights` name the layer, shape and dtype of each array in `data`, all
    of them one after the other, little-endian, in base64.

    Raises PipelineError that ends in `remedy` when there is no such file or it is damaged, and one
    of its own when network.js cannot compute the network.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            model = json.loads(archive.read("config.json"))
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stored:
                arrays = list(_arrays(stored, model["config"]["layers"]))
    except OSError as error:
        raise PipelineError(
            f"{path}: expected a trained model, found {error.strerror or 'a damaged file'}; "
            f"{remedy}"
        ) from error
    except (zipfile.BadZipFile, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{path}: expected a Keras model, found a damaged or foreign file; delete it and "
            f"{remedy}"
        ) from error
    _expect_computable(path, model["config"]["layers"])
    rounded = [(name, _rounded(array)) for name, array in arrays]
    return {
        "config": model,
        "weights": [
            {"layer": name, "shape": list(array.shape), "dtype": array.dtype.name}
            for name, array in rounded
        ],
        "data": base64.b64encode(b"".join(array.tobytes() for _, array in rounded)).decode(),
    }


def unpacked(weights: list[dict[str, Any]], data: str) -> dict[str, list[np.ndarray]]:
    """The inverse for Python: the arrays of each layer by its name, float32, in Keras's order."""
    content, start = base64.b64decode(data, validate=True), 0
    found: dict[str, list[np.ndarray]] = {}
    for part in weights:
        dtype, count = np.dtype(part["dtype"]).newbyteorder("<"), int(np.prod(part["shape"]))
        array = np.frombuffer(content, dtype, count, start).reshape(part["shape"])
        found.setdefault(part["layer"], []).append(array.astype(np.float32))
        start += array.nbytes
    return found


def _arrays(stored: h5py.File, layers: list[dict[str, Any]]) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight with the name of its layer, in the order of the layers."""
    groups = {group["vars"].attrs["name"]: group["vars"] for group in stored["layers"].values()}
    for layer in layers:
        variables = groups.get(layer["config"]["name"], {})
        for number in sorted(variables, key=int):
            yield layer["config"]["name"], np.asarray(variables[number])


def _rounded(array: np.ndarray) -> np.ndarray:
    return array.astype("<f2" if array.ndim > 1 else "<f4")


def _expect_computable(path: Path, layers: list[dict[str, Any]]) -> None:
    before = None
    for layer in layers:
        kind, config, name = layer["class_name"], layer["config"], layer["config"]["name"]
        if kind not in LAYERS:
            raise _refused(path, f"layer {name}, which is a {kind}")
        inputs = [
            tensor["config"]["keras_history"][0]
            for node in layer.get("inbound_nodes", ())
            for tensor in node["args"]
        ]
        if inputs and inputs != [before]:
            raise _refused(path, f"layer {name}, which does not follow {before} alone")
        for key, value in LAYERS[kind].items():
            if config.get(key, value) != value:
                raise _refused(path, f"layer {name} with {key} {config[key]}")
        shape = layer.get("build_config", {}).get("input_shape", ())
        if kind == "Dense" and len(shape) != 2:
            raise _refused(path, f"layer {name} on more than a row of numbers")
        activation = config.get("activation", "linear")
        last = layer is layers[-1]
        if activation not in ACTIVATIONS or (activation == "softmax") != last:
            raise _refused(path, f"layer {name} with activation {activation}")
        before = name
    if layers[-1]["class_name"] != "Dense":
        raise _refused(path, f"layer {before} at the end, which is no Dense")


def _refused(path: Path, found: str) -> PipelineError:
    return PipelineError(
        f"{path}: expected layers one after the other that a page can compute "
        f"({', '.join(LAYERS)}; activations {', '.join(ACTIVATIONS)}, softmax at the end and "
        f"nowhere else), found {found}; set "
        "page.variant to another variant, or teach pipeline/page/network.js and packed.py the layer"
    )
