"""Models as .tflite files for LiteRT, with the class names inside; the stage export.

As in TensorFlow Lite's metadata, a zip archive with associated files follows the model: LiteRT
reads the model by its length, any zip program the archive. `unzip -p models/best.tflite labels.txt`
prints the class names.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import runtime
from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.core.splits import read_class_names
from pipeline.evaluation.inference import load_model

tf = runtime.Lazy("tensorflow")
LABELS = "labels.txt"


def main(_: list[str]) -> None:
    """Stage export: reports/V.tflite for V = `page.variant`, small enough for git.

    By the TFLite converter's float16 quantization: LiteRT converts the weights to float32 at load.
    """
    params = read_params()
    variant, class_names = lookup(params, "page.variant"), read_class_names()
    runtime.start(lookup(params, "inference.cpu_isa"))
    path, model = Path("reports", f"{variant}.tflite"), load_model(variant, len(class_names))
    float16 = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "target_spec": {"supported_types": [tf.float16]},
    }
    save_tflite(path, model, class_names, **float16)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def save_tflite(path: Path, model: Any, class_names: Sequence[str], **options: Any) -> None:
    """Convert the Keras `model` to `path`, the same bytes each time.

    `options` are those of `keras.Model.export`. With allow_custom_ops a model with an operation
    that LiteRT lacks is saved, and refused by LiteRT.
    """

    def save(temporary: Path) -> None:
        model.export(temporary, format="litert", verbose=False, **options)
        append_labels(temporary, class_names)

    files.write(path, save)


def append_labels(path: Path, class_names: Sequence[str]) -> None:
    """Append the `class_names`, which have no line ends, to the model in `path`."""
    entry = zipfile.ZipInfo(LABELS)  # dated 1980
    entry.create_system = 3  # Unix
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, "".join(f"{name}\n" for name in class_names))


def read_labels(path: Path) -> tuple[str, ...]:
    """The class names in `path`, in the order of the model's outputs.

    Raises PipelineError when there are none, or the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.read(LABELS).decode("utf-8").removesuffix("\n").split("\n"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"{path}: expected a model with {LABELS}, found a missing or damaged file ({error}); "
            "delete it and run `dvc repro`"
        ) from error
