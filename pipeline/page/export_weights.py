"""Export of a trained Keras model for the browser: configuration of its layers, and weights.

Reads the .keras file by h5py, without TensorFlow.
"""

import base64
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pydantic

from pipeline.core.errors import PipelineError
from pipeline.page.page_data import AnyLayer


def export_model(path: Path, remedy: str) -> tuple[list[AnyLayer], str]:
    """Layers and weights of the .keras file `path`, as page_data.Network has them.

    Raises PipelineError that ends in `remedy` when the file is missing or damaged, and one that
    names the layer when network.js cannot compute it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            layers = json.loads(archive.read("config.json"))["config"]["layers"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                weights = _read_weights(file)
        names = [layer["config"]["name"] for layer in layers]
        arrays = [weights.get(name, []) for name in names]
        configs = [
            {
                "class_name": layer["class_name"],
                "calls": len(layer["inbound_nodes"]),
                "weights": [array.shape for array in group],
                **(layer.get("build_config") or {}),
                **layer["config"],
            }
            for layer, group in zip(layers, arrays, strict=True)
        ]
    except (OSError, zipfile.BadZipFile, ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f"{path}: expected a trained Keras model, found {' '.join(str(error).split())}; "
            f"delete the file and {remedy}"
        ) from error
    data = b"".join(array.tobytes() for group in arrays for array in group)
    try:
        chain = pydantic.TypeAdapter(list[AnyLayer]).validate_python(configs)
    except pydantic.ValidationError as error:
        (number, *key), message = error.errors()[0]["loc"], error.errors()[0]["msg"]
        raise PipelineError(
            f"{path}: layer {names[int(number)]}: {'.'.join(map(str, key))} {message}; set "
            "page.variant to another variant, or add the layer to page_data.py and "
            "web/network.js in pipeline/page"
        ) from error
    return chain, base64.b64encode(data).decode()


def _read_weights(file: h5py.File) -> dict[str, list[np.ndarray]]:
    """The weights of each layer in Keras's order: kernels as float16, vectors as float32."""
    weights = {}
    for group in (layer["vars"] for layer in file["layers"].values()):
        arrays = [np.asarray(group[number]) for number in sorted(group, key=int)]
        rounded = [array.astype("<f2" if array.ndim > 1 else "<f4") for array in arrays]
        weights[group.attrs["name"]] = rounded
    return weights
