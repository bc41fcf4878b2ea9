"""Export of a trained Keras model for the browser: configuration of its layers, and weights.

Reads the .keras file by h5py, without TensorFlow.
"""

import base64
import io
import json
import zipfile

import h5py
import numpy as np
import pydantic

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.page.page_data import Layer


def export_model(variant: str) -> tuple[list[Layer], str]:
    """Layers and weights of the model of `variant`, as page_data.Network and Media have them.

    Raises PipelineError when the file is missing or damaged, and one that names the layer when
    network.js cannot compute it.
    """
    path, name, layers, data = paths.model(variant), "", [], b""
    try:
        with zipfile.ZipFile(path) as archive:
            configs = json.loads(archive.read("config.json"))["config"]["layers"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                weights = _read_weights(file)
        configs[-1]["config"]["activation"] = "linear"  # evaluate has refused any but softmax
        for layer in configs:
            name, calls = layer["config"]["name"], len(layer["inbound_nodes"])
            arrays = weights.get(name, [])
            data += b"".join(array.tobytes() for array in arrays)
            added = {"calls": calls, "weights": [array.shape for array in arrays]}
            layers.append(Layer.model_validate(layer["config"] | layer | added))
    except pydantic.ValidationError as error:
        key, message = error.errors()[0]["loc"][0], error.errors()[0]["msg"]
        raise PipelineError(
            f"{path}: layer {name}: {key} {message}; set page.variant to another variant, or add "
            "the layer to page_data.py and web/network.js in pipeline/page"
        ) from error
    except (OSError, zipfile.BadZipFile, LookupError) as error:
        raise PipelineError(
            f"{path}: expected a trained Keras model, found {error}; delete the file and run "
            f"`dvc repro train@{variant}`"
        ) from error
    return layers, base64.b64encode(data).decode()


def _read_weights(file: h5py.File) -> dict[str, list[np.ndarray]]:
    """The weights of each layer in Keras's order: kernels as float16, vectors as float32."""
    weights = {}
    for group in (layer["vars"] for layer in file["layers"].values()):
        arrays = [np.asarray(group[number]) for number in sorted(group, key=int)]
        rounded = [array.astype("<f2" if array.ndim > 1 else "<f4") for array in arrays]
        weights[group.attrs["name"]] = rounded
    return weights
