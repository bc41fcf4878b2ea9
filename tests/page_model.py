"""The network in reports/index.html as a Keras model, the reference for the page's JavaScript."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.page import packed
from pipeline.runtime import Lazy

keras = Lazy("keras")
portable = Lazy("pipeline.evaluate.portable")

PAGE = Path("reports/index.html")


def read_network(folder: Path = Path()) -> dict[str, Any]:
    """The JSON object `network` of the page in `folder`."""
    text = (folder / PAGE).read_text(encoding="utf-8")
    element = re.search(r'<script type="application/json" id="network">(.*?)</script>', text, re.S)
    assert element
    return json.loads(element[1])


def weights(network: dict[str, Any]) -> dict[str, list[np.ndarray]]:
    """Float32 arrays by the name of their layer."""
    return packed.unpacked(network["weights"], network["data"])


def build_model(network: dict[str, Any]) -> Any:
    """The model up to its softmax; start TensorFlow by runtime.start before."""
    model = keras.saving.deserialize_keras_object(network["config"], safe_mode=True)
    for layer, arrays in weights(network).items():
        model.get_layer(layer).set_weights(arrays)
    return portable.portable(model)
