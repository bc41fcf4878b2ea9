"""A trained network as LiteRT computes it: without TensorFlow, whose import takes seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base import files
from pipeline.evaluate import labelled


def save(file: Path, model: Any, classes: Sequence[str]) -> None:
    """Write the Keras network `model` and the names of its `classes` to `file`; the same bytes
    each time.

    An operation that LiteRT lacks stands there by its name, and LiteRT refuses the file.
    """

    def export(temporary: Path) -> None:
        model.export(temporary, format="litert", verbose=False, allow_custom_ops=True)
        labelled.append(temporary, classes)

    files.write(file, export)
