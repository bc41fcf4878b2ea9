"""Models as .tflite files for LiteRT; the stage export."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import runtime
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params
from pipeline.evaluation.config import InferenceConfig, append_metadata, read_metadata
from pipeline.evaluation.inference import load_model

tf = runtime.Lazy("tensorflow")


def main(_: list[str]) -> None:
    """Stage export: reports/V.tflite for V = `page.variant`, small enough for git.

    By the TFLite converter's float16 quantization: LiteRT converts the weights to float32 at load.
    """
    params = read_params()
    variant = lookup(params, "page.variant")
    class_names, config = read_metadata(paths.tflite(variant))
    runtime.start(lookup(params, "inference.cpu_isa"))
    path, model = Path("reports", f"{variant}.tflite"), load_model(variant, len(class_names))
    float16 = {"supported_types": [tf.float16]}
    options = {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": float16}
    save_tflite(path, model, class_names, config, **options)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def save_tflite(
    path: Path, model: Any, class_names: Sequence[str], config: InferenceConfig, **options: Any
) -> None:
    """Convert the Keras `model` to `path`, the same bytes each time.

    `options` are those of `keras.Model.export`. With allow_custom_ops a model with an operation
    that LiteRT lacks is saved, and refused by LiteRT.
    """

    def save(temporary: Path) -> None:
        model.export(temporary, format="litert", verbose=False, **options)
        append_metadata(temporary, class_names, config)

    files.write(path, save)
