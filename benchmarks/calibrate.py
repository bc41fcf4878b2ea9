"""The temperature of a recipe: `python benchmarks/calibrate.py VARIANT`.

Trains the variant on the training images and fits, on the validation images, the temperature to
write into `temperatures` of params.yaml. Then tabulates confidence thresholds of test-time
augmentation on these images. A recipe that trains on all images has none left to fit on, but
overfits as much.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import held_out
import numpy as np
import pandas as pd
from scipy import optimize

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import files
from pipeline.core.params import lookup, read_params
from pipeline.evaluation import metrics
from pipeline.evaluation.config import (
    InferenceConfig,
    TestTimeAugmentation,
    read_inference_config,
)
from pipeline.evaluation.inference import predict_logits

FOLDER = Path("reports/bench/calibration")
BOUNDS = (0.05, 20.0)  # of temperatures tried; 1 changes nothing
CONFIDENCE_THRESHOLDS = (0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
REJECTION_THRESHOLDS = (0.3, 0.4, 0.5, 0.6)


class HeldOutLogits(NamedTuple):
    """Logits float64 (N, K) of held-out images at temperature 1, without test-time augmentation
    and with that of `tta` on every image; `labels` are the true classes (N,)."""

    labels: np.ndarray
    no_tta: np.ndarray
    with_tta: np.ndarray
    tta: TestTimeAugmentation

    def at(self, confidence_threshold: float, temperature: float) -> tuple[np.ndarray, float]:
        """The logits at a confidence threshold and temperature, and the share of images that need
        no augmentation."""
        confidence = metrics.softmax(self.no_tta / temperature).max(axis=1)
        is_certain = confidence >= confidence_threshold
        logits = np.where(is_certain[:, None], self.no_tta, self.with_tta)
        return logits / temperature, float(is_certain.mean())


def fit_temperature(held: HeldOutLogits, confidence_threshold: float) -> float:
    """The temperature of the lowest cross-entropy: Guo et al., 2017, section 4.2."""

    def loss(logarithm: float) -> float:
        logits, _ = held.at(confidence_threshold, np.exp(logarithm))
        return metrics.cross_entropy(held.labels, logits)

    # Over logarithms, in which a factor counts as much up as down.
    minimum = optimize.minimize_scalar(loss, bounds=tuple(np.log(BOUNDS)), method="bounded")
    return float(np.exp(minimum.x))


def threshold_table(held: HeldOutLogits, bins: int) -> pd.DataFrame:
    """A row per confidence threshold with its own temperature; `views` is the mean per image."""
    rows = []
    views = (2 if held.tta.horizontal_flip else 1) * (3 if held.tta.shift else 1)
    for threshold in CONFIDENCE_THRESHOLDS:
        temperature = fit_temperature(held, threshold)
        logits, certain = held.at(threshold, temperature)
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


def compute_logits(params: dict[str, Any], name: str) -> HeldOutLogits:
    """Train variant `name` and apply it to the held-out images."""
    held = held_out.train(params, name)  # starts TensorFlow
    from pipeline.evaluation.deterministic import make_deterministic

    network, recipe = (lookup(params, f"variants.{name}.{key}") for key in ("network", "recipe"))
    tta = read_inference_config(params, network, recipe).tta
    always = tta.model_copy(update={"confidence_threshold": 1.0})
    with_tta, no_tta = predict_logits(
        make_deterministic(held.model),
        held.images,
        batch_size=lookup(params, "inference.batch_size"),
        config=InferenceConfig(always, 1.0),
    )
    return HeldOutLogits(held.labels, no_tta, with_tta, tta)


def main(name: str) -> None:
    params = read_params()
    held = compute_logits(params, name)
    bins = lookup(params, "evaluate.calibration_bins")
    text = threshold_table(held, bins).to_markdown(index=False)
    files.write_text(FOLDER / f"{name}.md", text)
    temperature = fit_temperature(held, held.tta.confidence_threshold)
    recipe = lookup(params, f"variants.{name}.recipe")
    print(f"{text}\n\ntemperatures: {{{recipe}: {temperature:.3f}}}")


if __name__ == "__main__":
    main(sys.argv[1])
