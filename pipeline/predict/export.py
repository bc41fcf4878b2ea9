"""Stage export: the network of `page.variant` as a small .tflite file that git carries.

`predict` then classifies photos in a clone without models. The TFLite converter's float16
quantization stores weights in 16 bits; LiteRT converts them to float32 at load.
"""

from pathlib import Path

from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.data import classes
from pipeline.evaluate import labelled, trained
from pipeline.runtime import Lazy

tf = Lazy("tensorflow")


def main(_: list[str]) -> None:
    """Write reports/V.tflite for V = `page.variant`, the same bytes each time.

    Raises PipelineError when the model or the class names are missing or damaged.
    """
    params = params_file.read()
    variant = params_file.at(params, "page.variant")
    class_names = classes.read()
    runtime.start(params_file.at(params, "runtime.cpu_isa"))
    model = trained.load(variant)
    trained.expect(model.output_shape[1:], (len(class_names),), "output", variant)

    def save(temporary: Path) -> None:
        model.export(
            temporary,
            format="litert",
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            target_spec={"supported_types": [tf.float16]},
        )
        labelled.append(temporary, class_names)

    path = Path("reports", f"{variant}.tflite")
    files.write(path, save)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
