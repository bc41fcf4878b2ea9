"""Calibration of `best` in finished studies of photos: `python benchmarks/few_photos.py STUDY...`.

Writes reports/bench/few_photos.md; `calibrated` is the error of labels drawn by the probabilities.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core.splits import read_split
from pipeline.evaluation.metrics import calibration_error, read_metrics, softmax
from pipeline.predict import load_predictor

COLUMNS = ("accuracy", "temperature", "rejection_threshold", "rejection_rate", "calibration_error")


def study_row() -> dict[str, object]:
    """The row of the study in the current folder."""
    metrics, (images, labels) = read_metrics("best").model_dump(), read_split("test")
    logits = load_predictor(variant="best").model.predict_logits(images, batch_size=100)
    probabilities, generator = softmax(logits), np.random.default_rng(0)
    limits = probabilities.astype(float).cumsum(axis=1)
    errors = [
        calibration_error((limits < limits[:, -1:] * draw).sum(axis=1), probabilities)
        for draw in generator.random((200, len(images), 1))
    ]
    factor = metrics["temperature"]
    return {
        "photos": sum(len(read_split(name).images) for name in ("train", "validation")),
        **{name: metrics[name] for name in COLUMNS},
        "at temperature 1": calibration_error(labels.argmax(axis=1), softmax(logits * factor)),
        "calibrated": f"{np.mean(errors):.3f} ± {np.std(errors):.3f}",
    }


if __name__ == "__main__":
    table = []
    for study in sys.argv[1:]:
        with contextlib.chdir(study):
            table.append(study_row())
    pd.DataFrame(table).to_markdown("reports/bench/few_photos.md", index=False, floatfmt=".3f")
