"""The temperature of a recipe: `python benchmarks/calibrate.py VARIANT`.

Trains the variant on the training images and fits, on the validation images, the temperature to
write into `temperatures` of params.yaml. Then tabulates confidence thresholds of test-time
augmentation on these images. A recipe that trains on all images has none left to fit on, but
overfits as much.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import held_out
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import files
from pipeline.core.params import lookup, read_params
from pipeline.core.splits import Split
from pipeline.evaluation import metrics
from pipeline.evaluation.config import TestTimeAugmentation, read_inference_config
from pipeline.evaluation.inference import HeldOutLogits, held_out_logits, predict_logits

FOLDER = Path("reports/bench/calibration")
CONFIDENCE_THRESHOLDS = (0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
REJECTION_THRESHOLDS = (0.3, 0.4, 0.5, 0.6)


def threshold_table(held: HeldOutLogits, tta: TestTimeAugmentation, bins: int) -> pd.DataFrame:
    """A row per confidence threshold with its own temperature; `views` is the mean per image."""
    rows = []
    views = (2 if tta.horizontal_flip else 1) * (3 if tta.shift else 1)
    for threshold in CONFIDENCE_THRESHOLDS:
        temperature = held.fit_temperature(threshold)
        logits = held.at(temperature, threshold)
        certain = float(
            (metrics.softmax(held.no_tta / temperature).max(axis=1) >= threshold).mean()
        )
        calibrated, uncalibrated = metrics.softmax(logits), metrics.softmax(logits * temperature)
        errors = [
            round(metrics.calibration_error(held.labels, probabilities, bins), 4)
            for probabilities in (calibrated, uncalibrated)
        ]
        rows.append(
            {
                "confidence threshold": threshold,
                "temperature": round(temperature, 3),
                "views": round(certain + (1 - certain) * views, 3),
                "accuracy": metrics.top_k_accuracy(held.labels, logits, 1),
                "calibration error": errors[0],
                "at temperature 1": errors[1],
                **{
                    f"below {low}": round(float((calibrated.max(axis=1) < low).mean()), 4)
                    for low in REJECTION_THRESHOLDS
                },
            }
        )
    return pd.DataFrame(rows)


def compute_logits(params: dict[str, Any], name: str) -> tuple[HeldOutLogits, TestTimeAugmentation]:
    """Train variant `name` and apply it to the held-out images, by its test-time augmentation."""
    trained = held_out.train(params, name)  # starts TensorFlow
    from pipeline.evaluation.deterministic import make_deterministic

    config = read_inference_config(params, name)
    classes = np.eye(trained.labels.max() + 1, dtype=np.float32)
    predict = partial(
        predict_logits,
        make_deterministic(trained.model),
        batch_size=lookup(params, "inference.batch_size"),
    )
    split = Split(trained.images, classes[trained.labels])
    return held_out_logits(predict, split, config), config.test_time_augmentation


def main(name: str) -> None:
    params = read_params()
    held, tta = compute_logits(params, name)
    bins = lookup(params, "evaluate.calibration_bins")
    text = threshold_table(held, tta, bins).to_markdown(index=False)
    files.write_text(FOLDER / f"{name}.md", text)
    temperature = held.fit_temperature(tta.confidence_threshold)
    recipe = lookup(params, f"variants.{name}.recipe")
    print(f"{text}\n\ntemperatures: {{{recipe}: {temperature:.3f}}}")


if __name__ == "__main__":
    main(sys.argv[1])
