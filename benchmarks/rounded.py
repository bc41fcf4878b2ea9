"""What float16 weights change: `python benchmarks/rounded.py`.

Compares models/V.tflite with reports/V.tflite, V = `page.variant`, on the test set.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.base import params_file
from pipeline.data import splits
from pipeline.evaluate import manner, scores
from pipeline.predict.litert_model import LiteRTModel
from pipeline.report import places


def main() -> None:
    """Print how many predictions differ, both accuracies, the largest change of a probability."""
    params = params_file.read()
    variant = params_file.at(params, "page.variant")
    network = params_file.at(params, f"variants.{variant}.network")
    batch_size = params_file.section(params, "runtime", runtime.Runtime).inference_batch_size
    images, one_hot = splits.read("test")
    labels = one_hot.argmax(axis=1)
    float32, float16 = (
        scores.softmax(
            LiteRTModel(path).predict_logits(
                images,
                batch_size=batch_size,
                inference_config=manner.read(params, variant, network),
            )
        )
        for path in (places.litert(variant), Path("reports", f"{variant}.tflite"))
    )
    differ = (float32.argmax(axis=1) != float16.argmax(axis=1)).sum()
    before, after = scores.accuracy(labels, float32), scores.accuracy(labels, float16)
    print(
        f"{variant}: {differ} of {len(images):,} predictions differ, accuracy {before:.4f} with "
        f"float32 weights and {after:.4f} with float16, probabilities differ by at most "
        f"{np.abs(float32 - float16).max():.4f}"
    )


if __name__ == "__main__":
    main()
