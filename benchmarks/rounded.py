"""What float16 weights change in the model of `page.variant`: `python benchmarks/rounded.py`."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import paths
from pipeline.core.params import lookup, read_params
from pipeline.core.splits import read_split
from pipeline.evaluation import metrics
from pipeline.predict import LiteRTModel


def main() -> None:
    """Print how many predictions differ, both accuracies, the largest change of a probability."""
    params = read_params()
    variant = lookup(params, "page.variant")
    images, one_hot = read_split("test")
    labels = one_hot.argmax(axis=1)
    float32, float16 = (
        metrics.softmax(
            LiteRTModel(path).predict_logits(
                images, batch_size=lookup(params, "inference.batch_size")
            )
        )
        for path in (paths.tflite(variant), Path("reports", f"{variant}.tflite"))
    )
    differ = (float32.argmax(axis=1) != float16.argmax(axis=1)).sum()
    before, after = (metrics.top_k_accuracy(labels, p, 1) for p in (float32, float16))
    print(
        f"{variant}: {differ} of {len(images):,} predictions differ, accuracy {before:.4f} with "
        f"float32 weights and {after:.4f} with float16, probabilities differ by at most "
        f"{np.abs(float32 - float16).max():.4f}"
    )


if __name__ == "__main__":
    main()
