"""The network that reports/index.html carries, for Python: an answer before any training."""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.predict import described
from pipeline.runtime import Lazy

keras = Lazy("keras")
portable = Lazy("pipeline.evaluate.portable")

PAGE = Path("reports/index.html")
REMEDY = f"take the committed page, `git checkout HEAD -- {PAGE}`"


@dataclass(frozen=True)
class Carried:
    """A network as Keras describes it, with the weights of each layer, float32; `accuracy` is that
    on the test set, before its kernels were rounded to 16 bits."""

    variant: str
    accuracy: float
    config: dict[str, Any]
    weights: dict[str, list[np.ndarray]]


def read(folder: Path = Path()) -> Carried | None:
    """The network in the page of the project at `folder`; None: no page, or one that is damaged."""
    try:
        network = _data(folder)["network"]
        return Carried(
            variant=str(network["variant"]),
            accuracy=float(network["accuracy"]),
            config=network["config"],
            weights=_unpacked(network["weights"], network["data"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def classes() -> tuple[str, ...]:
    """The names of the classes in the page; PipelineError when it is damaged."""
    try:
        names = _data(Path())["classes"]
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
        found = "something else"
    except (OSError, ValueError, LookupError, TypeError) as error:
        found = " ".join(str(error).split())
    raise PipelineError(f"{PAGE}: expected the names of its classes, found {found}; {REMEDY}")


def told(found: Carried) -> described.Described:
    """What the network says of itself; PipelineError when its description is damaged."""
    try:
        return described.of(found.config)
    except (ValueError, LookupError, TypeError) as error:
        raise _damaged(error) from error


def model(found: Carried) -> Any:
    """The network up to its softmax, as trained.load gives one; call runtime.start first.

    Raises PipelineError when Keras cannot make it.
    """
    try:
        network = keras.saving.deserialize_keras_object(found.config, safe_mode=True)
        for layer, arrays in found.weights.items():
            network.get_layer(layer).set_weights(arrays)
        return portable.portable(network)
    except Exception as error:  # a damaged description fails wherever the damage lies
        raise _damaged(error) from error


def _damaged(error: Exception) -> PipelineError:
    reason = " ".join(str(error).split())[:200]
    return PipelineError(
        f"{PAGE}: expected a network in Keras's terms, found a damaged one ({reason}); {REMEDY}"
    )


def _data(folder: Path) -> Any:
    """What the page holds for its scripts; ValueError or OSError where it does not."""
    text = (folder / PAGE).read_text(encoding="utf-8")
    element = r'<script type="application/json" id="data">(.*?)</script>'
    found = re.search(element, text, re.DOTALL)
    if found is None:
        raise ValueError("no data")
    return json.loads(found[1])


def _unpacked(weights: list[dict[str, Any]], data: str) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer by its name, float32, in Keras's order."""
    content, start = base64.b64decode(data, validate=True), 0
    found: dict[str, list[np.ndarray]] = {}
    for part in weights:
        dtype, count = np.dtype(part["dtype"]).newbyteorder("<"), int(np.prod(part["shape"]))
        array = np.frombuffer(content, dtype, count, start).reshape(part["shape"])
        found.setdefault(part["layer"], []).append(array.astype(np.float32))
        start += array.nbytes
    return found
