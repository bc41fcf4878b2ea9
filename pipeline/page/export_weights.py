"""Export of a trained Keras model for the browser: Keras's own config, and the weights in base64.

Reads the .keras file by h5py, without TensorFlow. Kernels are rounded to float16. Biases and
normalisation statistics stay float32: a variance may be too small for 16 bits.
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
import pydantic

from pipeline.base.errors import PipelineError

# The layers that network.js computes, with the settings that it takes for granted.
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


class ExportedModel(pydantic.BaseModel, frozen=True):
    """Keras's `config` of a model, and its arrays as `data`: little-endian, in base64.

    `weights` has the layer, shape and dtype, float16 or float32, of each array.
    """

    config: dict[str, Any]
    weights: list[dict[str, Any]]
    data: str


def export_model(path: Path, remedy: str) -> ExportedModel:
    """The model in the .keras file `path`.

    Raises PipelineError that ends in `remedy` when the file is missing or damaged, and one that
    names the layer when network.js cannot compute it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            layers = config["config"]["layers"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                arrays = [(name, round_weight(array)) for name, array in _arrays(file, layers)]
    except (OSError, zipfile.BadZipFile, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{path}: expected a trained Keras model, found {' '.join(str(error).split())}; "
            f"delete the file and {remedy}"
        ) from error
    if found := find_unsupported(layers):
        raise PipelineError(
            f"{path}: expected a chain of layers that the page can compute ({', '.join(LAYERS)}; "
            f"activations {', '.join(ACTIVATIONS)}, softmax only at the end), found {found}; set "
            "page.variant to another variant, or add the layer to network.js and "
            "export_weights.py in pipeline/page"
        )
    return ExportedModel(
        config=config,
        weights=[
            {"layer": name, "shape": list(array.shape), "dtype": array.dtype.name}
            for name, array in arrays
        ],
        data=base64.b64encode(b"".join(array.tobytes() for _, array in arrays)).decode(),
    )


def round_weight(array: np.ndarray) -> np.ndarray:
    """Kernels as little-endian float16, vectors as float32."""
    return array.astype("<f2" if array.ndim > 1 else "<f4")


def _arrays(file: h5py.File, layers: list[dict[str, Any]]) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight with the name of its layer, in the order of the layers."""
    groups = {group["vars"].attrs["name"]: group["vars"] for group in file["layers"].values()}
    for layer in layers:
        variables = groups.get(layer["config"]["name"], {})
        for number in sorted(variables, key=int):
            yield layer["config"]["name"], np.asarray(variables[number])


def find_unsupported(layers: list[dict[str, Any]]) -> str | None:
    """The first layer that network.js cannot compute, and why; None when it computes all."""
    previous = None
    for layer in layers:
        kind, config, name = layer["class_name"], layer["config"], layer["config"]["name"]
        if kind not in LAYERS:
            return f"layer {name} of class {kind}"
        inputs = [
            tensor["config"]["keras_history"][0]
            for node in layer.get("inbound_nodes", ())
            for tensor in node["args"]
        ]
        if inputs and inputs != [previous]:
            return f"layer {name} with inputs {', '.join(inputs)}"
        for key, value in LAYERS[kind].items():
            if config.get(key, value) != value:
                return f"layer {name} with {key} {config[key]}"
        shape = layer.get("build_config", {}).get("input_shape", ())
        if kind == "Dense" and len(shape) != 2:
            return f"layer {name} with input shape {shape}"
        activation = config.get("activation", "linear")
        if activation not in ACTIVATIONS or (activation == "softmax") != (layer is layers[-1]):
            return f"layer {name} with activation {activation}"
        previous = name
    return None if kind == "Dense" else f"layer {name} of class {kind} at the end"
