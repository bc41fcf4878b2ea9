"""The network that reports/index.html carries, for Python: an answer before any training."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.page import packed
from pipeline.runtime import Lazy

keras = Lazy("keras")
portable = Lazy("pipeline.evaluate.portable")

PAGE = Path("reports/index.html")
_NETWORK = re.compile(r'<script type="application/json" id="network">(.*?)</script>', re.DOTALL)


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
        found = _NETWORK.search((folder / PAGE).read_text(encoding="utf-8"))
        if found is None:
            return None
        network = json.loads(found[1])
        return Carried(
            variant=str(network["variant"]),
            accuracy=float(network["accuracy"]),
            config=network["config"],
            weights=packed.unpacked(network["weights"], network["data"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


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
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"{PAGE}: expected a network in Keras's terms, found a damaged one ({reason}); take "
            f"the committed page, `git checkout HEAD -- {PAGE}`"
        ) from error
