"""Where the files of a variant are, as dvc.yaml names them."""

from pathlib import Path

# What compare reads of each variant, and nothing else: small files, all of them in git.
RESULTS = Path("reports/variants")


def model(variant: str) -> Path:
    """The trained model, in Keras's format."""
    return Path("models", f"{variant}.keras")


def predictions(variant: str) -> Path:
    """What the model says of each test image."""
    return Path("data/predictions", f"{variant}.csv")


def mistakes(variant: str) -> Path:
    """The picture of its most confident mistakes."""
    return Path("reports/mistakes", f"{variant}.png")


def history(variant: str) -> Path:
    """Accuracy and loss by epoch (report/history.py)."""
    return RESULTS / variant / "history.csv"


def metrics(variant: str) -> Path:
    """The figures by which the variant is judged (report/metrics.py)."""
    return RESULTS / variant / "metrics.json"


def classes(variant: str) -> Path:
    """Scores by class, and the confusion matrix."""
    return RESULTS / variant / "classes.csv"


def right(variant: str) -> Path:
    """Which test images it has right."""
    return RESULTS / variant / "right.png"
