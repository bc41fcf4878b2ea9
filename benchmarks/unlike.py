"""What predict says of photos of other things: `python benchmarks/unlike.py FOLDER VARIANT...`.

Asks each variant about all photos below FOLDER, none of which shows one of the classes, and about
the test set. Writes reports/bench/unlike.md: how well the probability of the first class tells the
two apart, and how many of either are told unlikely.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.data import settings, splits
from pipeline.evaluate import manner, scores, trained
from pipeline.evaluate.settings import Predict
from pipeline.predict.predictor import load_images

TABLE = Path("reports/bench/unlike.md")
HEADER = (
    "| variant | photos | AUROC | photos told unlikely | test images told unlikely |\n"
    "| --- | ---: | ---: | ---: | ---: |"
)


def auroc(known: np.ndarray, other: np.ndarray) -> float:
    """How often a value of `known` (N,) is above one of `other` (M,); a tie counts half."""
    return float(stats.mannwhitneyu(known, other).statistic / (len(known) * len(other)))


def main(folder: Path, variants: list[str]) -> None:
    params = params_file.read()
    limits = params_file.section(params, "runtime", runtime.Runtime)
    unlikely = params_file.section(params, "predict", Predict).unlikely
    dataset = settings.read(params)
    paths = sorted(folder.rglob("*.jpg"))
    photos = load_images(paths, side=dataset.side, crop_mode=dataset.framing)
    images, _ = splits.read("test")
    runtime.start(limits.cpu_isa)
    lines = [HEADER]
    for variant in variants:
        model = trained.load(variant)

        def sure(shown: np.ndarray, model: object = model, variant: str = variant) -> np.ndarray:
            logits, _ = trained.answers(
                model,
                shown,
                batch_size=limits.inference_batch_size,
                variant=variant,
                manner=manner.read(params, variant, getattr(model, "name", "")),
            )
            return scores.softmax(logits).max(axis=1)

        known, other = sure(images), sure(photos)
        lines.append(
            f"| `{variant}` | {len(other):,} | {auroc(known, other):.3f} | "
            f"{(other < unlikely).mean():.1%} | {(known < unlikely).mean():.1%} |"
        )
    files.write_text(TABLE, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
