"""The network that reports/index.html carries, for Python: an answer before any training."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.page import packed
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
        network = _part("network", folder)
        return Carried(
            variant=str(network["variant"]),
            accuracy=float(network["accuracy"]),
            config=network["config"],
            weights=packed.unpacked(network["weights"], network["data"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def classes() -> tuple[str, ...]:
    """The names of the classes in the page; PipelineError when it is damaged."""
    try:
        names = _part("facts", Path())["classes"]
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


def _part(name: str, folder: Path) -> Any:
    """What the page holds for its scripts under `name`; ValueError or OSError where it does not."""
    text = (folder / PAGE).read_text(encoding="utf-8")
    element = rf'<script type="application/json" id="{name}">(.*?)</script>'
    found = re.search(element, text, re.DOTALL)
    if found is None:
        raise ValueError(f"no {name}")
    return json.loads(found[1])
