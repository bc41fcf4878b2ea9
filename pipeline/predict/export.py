"""Stage export: the network of `page.variant` as a small .tflite file that git carries.

`predict` then classifies photos in a clone without models. The TFLite converter's float16
quantization stores weights in 16 bits; LiteRT converts them to float32 at load.
"""

from pathlib import Path

from pipeline import runtime
from pipeline.core.params import lookup, read_params
from pipeline.core.splits import read_class_names
from pipeline.evaluation.inference import load_model
from pipeline.evaluation.tflite import save_tflite
from pipeline.runtime import Lazy

tf = Lazy("tensorflow")


def main(_: list[str]) -> None:
    """Write reports/V.tflite for V = `page.variant`, the same bytes each time."""
    params = read_params()
    variant = lookup(params, "page.variant")
    class_names = read_class_names()
    runtime.start(lookup(params, "inference.cpu_isa"))
    model = load_model(variant, len(class_names))
    path = Path("reports", f"{variant}.tflite")
    save_tflite(
        path,
        model,
        class_names,
        optimizations=[tf.lite.Optimize.DEFAULT],
        target_spec={"supported_types": [tf.float16]},
    )
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
