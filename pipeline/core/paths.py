"""The paths of inputs and outputs, as dvc.yaml names them."""

from functools import partial
from pathlib import Path

CLASS_NAMES = Path("data/processed/classes.txt")  # one a line, in the order of the labels
# What compare reads of each variant: small files, all of them in git.
RESULTS = Path("reports/variants")


def split(name: str, data: str = "processed") -> Path:
    """Images and labels of a split, or features by the backbone `data` (core/splits.py)."""
    return Path("data", data, f"{name}.npz")


def _path(pattern: str, variant: str) -> Path:
    return Path(pattern.format(variant))


model = partial(_path, "models/{}.keras")
tflite = partial(_path, "models/{}.tflite")  # with metadata: evaluation/config.py
checkpoint = partial(_path, ".checkpoints/{}.npz")  # of an unfinished training
history = partial(_path, f"{RESULTS}/{{}}/history.csv")  # training/history.py
training_time = partial(_path, f"{RESULTS}/{{}}/training_time.json")  # tools/environment.py
metrics = partial(_path, f"{RESULTS}/{{}}/metrics.json")  # evaluation/metrics.py
classes = partial(_path, f"{RESULTS}/{{}}/classes.csv")  # evaluation/evaluate.py
predictions = partial(_path, f"{RESULTS}/{{}}/predictions.csv")  # a row per test image
