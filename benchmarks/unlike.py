"""How predict rejects photos of other things: `python benchmarks/unlike.py FOLDER VARIANT...`.

Classifies all photos below FOLDER, none of which shows one of the classes, and the test set. Writes
benchmarks/unlike.csv, which the page quotes: the SHA-256 of the model, the area under the ROC curve
of the probability of the first class, and the share of either that is rejected.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import files
from pipeline.core.splits import read_split
from pipeline.evaluation.metrics import CSV
from pipeline.predict import load_predictor

TABLE = Path("benchmarks/unlike.csv")


def auroc(known: np.ndarray, other: np.ndarray) -> float:
    """How often a value of `known` (N,) is above one of `other` (M,); a tie counts half."""
    return float(stats.mannwhitneyu(known, other).statistic / (len(known) * len(other)))


def main(folder: Path, variants: list[str]) -> None:
    """A row for each of `variants`."""
    photos = sorted(folder.rglob("*.jpg"))
    rows = []
    for variant in variants:
        predictor = load_predictor(variant=variant)
        threshold = predictor.model.config.rejection_threshold
        known, other = (
            np.array([one.probability for one in predictor.predict(images)])
            for images in (list(read_split("test").images), photos)
        )
        rows.append(
            {
                "variant": variant,
                "model": files.sha256(predictor.path),
                "photos": len(other),
                "auroc": auroc(known, other),
                "rejected": (other < threshold).mean(),
                "test_rejected": (known < threshold).mean(),
            }
        )
    text = pd.DataFrame(rows).to_csv(**CSV)
    files.write_text(TABLE, text)
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
