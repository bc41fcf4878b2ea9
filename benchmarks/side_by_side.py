"""What training two variants at once saves: `python benchmarks/side_by_side.py` (5 minutes).

Needs an idle machine and data/raw; works in a temporary copy of the project. Each training has a
single thread (`runtime.threads`), whatever JOBS is.
"""

import sys
import tempfile
from pathlib import Path

import yaml
from timing import HEADER, row, seconds

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import config, quick

PROJECT = Path(__file__).parent.parent
IMAGES, EPOCHS, ROUNDS = 10_000, 2, 3
PAIR = ("train@deep", "train@final")  # the two longest trainings


def set_seed(folder: Path, seed: int) -> None:
    """Another seed, so that DVC can take no training from its run cache."""
    params = config.read(folder / config.PARAMS_FILE)
    params["preprocess"] |= {"train_images": IMAGES}
    params["recipes"]["study"] |= {"seed": seed, "epochs": EPOCHS}
    (folder / config.PARAMS_FILE).write_text(yaml.safe_dump(params, sort_keys=False))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "project")
        quick.prepare(folder, project=PROJECT)
        set_seed(folder, 0)
        seconds(folder, "dvc", "repro", "--quiet", "preprocess")
        together, alone = [], []
        for number in range(1, ROUNDS + 1):
            set_seed(folder, 2 * number)
            alone.append(seconds(folder, "pipeline.parallel", "--jobs", "1", *PAIR))
            set_seed(folder, 2 * number + 1)
            together.append(seconds(folder, "pipeline.parallel", "--jobs", "2", *PAIR))
    print(HEADER)
    print(row(f"{' and '.join(PAIR)}, `JOBS=2` : `JOBS=1`", together, alone))


if __name__ == "__main__":
    main()
