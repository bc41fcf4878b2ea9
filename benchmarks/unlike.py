"""How predict rejects photos of other things: `python benchmarks/unlike.py FOLDER VARIANT...`.

Classifies all photos below FOLDER, none of which shows one of the classes, and the test set. Writes
reports/bench/unlike.md: the area under the ROC curve of the probability of the first class, and the
rejection rate of either.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import files
from pipeline.core.splits import read_split
from pipeline.predict import load_predictor

TABLE = Path("reports/bench/unlike.md")
HEADER = (
    "| variant | photos | AUROC | photos rejected | test images rejected |\n"
    "| --- | ---: | ---: | ---: | ---: |"
)


def auroc(known: np.ndarray, other: np.ndarray) -> float:
    """How often a value of `known` (N,) is above one of `other` (M,); a tie counts half."""
    return float(stats.mannwhitneyu(known, other).statistic / (len(known) * len(other)))


def main(folder: Path, variants: list[str]) -> None:
    """A row for each of `variants`."""
    photos = sorted(folder.rglob("*.jpg"))
    lines = [HEADER]
    for variant in variants:
        predictor = load_predictor(variant=variant)
        known, other = (
            np.array([one.probability for one in predictor.predict(images)])
            for images in (list(read_split("test").images), photos)
        )
        rejected = [
            f"{(p < predictor.model.config.rejection_threshold).mean():.1%}" for p in (other, known)
        ]
        lines.append(
            f"| `{variant}` | {len(other):,} | {auroc(known, other):.3f} | {' | '.join(rejected)} |"
        )
    files.write_text(TABLE, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
