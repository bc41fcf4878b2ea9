"""The paths of inputs and outputs, as dvc.yaml names them."""

from pathlib import Path

CLASS_NAMES = Path("data/processed/classes.txt")  # one a line, in the order of the labels
# What compare reads of each variant: small files, all of them in git.
RESULTS = Path("reports/variants")


def split(name: str, data: str = "processed") -> Path:
    """Images and labels of a split, or features by the backbone `data` (core/splits.py)."""
    return Path("data", data, f"{name}.npz")


def model(variant: str) -> Path:
    return Path("models", f"{variant}.keras")


def tflite(variant: str) -> Path:
    return Path("models", f"{variant}.tflite")  # with metadata: evaluation/config.py


def checkpoint(variant: str) -> Path:
    return Path(".checkpoints", f"{variant}.npz")  # of an unfinished training


def history(variant: str) -> Path:
    return RESULTS / variant / "history.csv"  # training/history.py


def training_time(variant: str) -> Path:
    return RESULTS / variant / "training_time.json"  # of that history: tools/environment.py


def metrics(variant: str) -> Path:
    return RESULTS / variant / "metrics.json"  # evaluation/metrics.py


def classes(variant: str) -> Path:
    return RESULTS / variant / "classes.csv"  # evaluation/evaluate.py


def predictions(variant: str) -> Path:
    return RESULTS / variant / "predictions.csv"  # a row per test image
