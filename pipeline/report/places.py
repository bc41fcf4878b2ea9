"""Where the files of a variant are, as dvc.yaml names them."""

from pathlib import Path

# What compare reads of each variant, and nothing else: small files, all of them in git.
RESULTS = Path("reports/variants")


def model(variant: str) -> Path:
    """The trained model, in Keras's format."""
    return Path("models", f"{variant}.keras")


def litert(variant: str) -> Path:
    """The network of that model, in LiteRT's format, as predict asks it."""
    return Path("models", f"{variant}.tflite")


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


def examples(variant: str) -> Path:
    """Test images worth a look (page/examples.py)."""
    return RESULTS / variant / "examples.csv"


def reliability(variant: str) -> Path:
    """How often it is right by how sure it is (compare/results.py)."""
    return RESULTS / variant / "reliability.csv"


def right(variant: str) -> Path:
    """Which test images it has right."""
    return RESULTS / variant / "right.png"
