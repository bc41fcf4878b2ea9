"""What a network says of itself in Keras's description, read without Keras: that takes seconds."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base.errors import PipelineError


class Described(NamedTuple):
    """The `name` of a network, and the `side` in pixels of the square images that it takes."""

    name: str
    side: int


def of(config: Any) -> Described:
    """Of a description as Keras makes it.

    Raises ValueError, LookupError or TypeError when it is damaged, or the network takes anything
    but square images of three channels.
    """
    inside = config["config"]
    inputs = [layer for layer in inside["layers"] if layer["class_name"] == "InputLayer"]
    shapes = [layer["config"]["batch_shape"] for layer in inputs]
    side = shapes[0][1] if shapes else None
    if not isinstance(side, int) or shapes != [[None, side, side, 3]]:
        raise ValueError(f"inputs of shape {shapes} instead of square images of three channels")
    return Described(str(inside["name"]), side)


def read(file: Path, remedy: str) -> Described:
    """Of the .keras file `file`; PipelineError that ends in `remedy` when that cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return of(json.loads(archive.read("config.json")))
    except FileNotFoundError:
        raise PipelineError(
            f"{file}: expected a trained model, found no such file; {remedy}"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"{file}: expected a Keras model, found a damaged or foreign file ({reason}); "
            f"delete it and {remedy}"
        ) from error
