"""A trained network as LiteRT computes it: without TensorFlow, whose import takes seconds."""

from pathlib import Path
from typing import Any

from pipeline.base import files


def save(file: Path, model: Any) -> None:
    """Write the Keras network `model` to `file`; the same bytes each time.

    An operation that LiteRT lacks stands there by its name, and LiteRT refuses the file.
    """

    def export(temporary: Path) -> None:
        model.export(temporary, format="litert", verbose=False, allow_custom_ops=True)

    files.write(file, export)
