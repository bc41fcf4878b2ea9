"""The paths of inputs and outputs, as dvc.yaml names them."""

from pathlib import Path

CLASS_NAMES = Path("data/processed/classes.txt")  # one a line, in the order of the labels
# What compare reads of each variant: small files, all of them in git.
RESULTS = Path("reports/variants")


def split(name: str) -> Path:
    """Images and labels of a split (core/splits.py)."""
    return Path("data/processed", f"{name}.npz")


def model(variant: str) -> Path:
    """The trained model, in Keras's format."""
    return Path("models", f"{variant}.keras")


def tflite(variant: str) -> Path:
    """The same network in LiteRT's format, with its metadata (evaluation/config.py)."""
    return Path("models", f"{variant}.tflite")


def checkpoint(variant: str) -> Path:
    """The state of an unfinished training (core/checkpoint.py)."""
    return Path(".checkpoints", f"{variant}.npz")


def history(variant: str) -> Path:
    """Accuracy and loss by epoch (training/history.py)."""
    return RESULTS / variant / "history.csv"


def training_time(variant: str) -> Path:
    """Duration and machine of the training of that history (tools/environment.py)."""
    return RESULTS / variant / "training_time.json"


def metrics(variant: str) -> Path:
    """Metrics on the test set (evaluation/metrics.py)."""
    return RESULTS / variant / "metrics.json"


def classes(variant: str) -> Path:
    """Precision, recall and F1 by class (evaluation/evaluate.py)."""
    return RESULTS / variant / "classes.csv"


def predictions(variant: str) -> Path:
    """True and predicted class of each test image, and its confidence (evaluation/evaluate.py)."""
    return RESULTS / variant / "predictions.csv"
