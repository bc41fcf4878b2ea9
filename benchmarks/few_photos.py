"""Accuracy by the number of photos: `python benchmarks/few_photos.py PHOTOS best pretrained ...`.

PHOTOS has folders of splits, as docs/photos.md describes. Makes a study of some photos a class of
train and validation, and the test photos, for each draw, and trains the variants named. Writes
reports/bench/few_photos.csv and, of means, few_photos.md. Minutes are from photos to evaluation.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import files
from pipeline.datasets.image_loading import list_images
from pipeline.evaluation.metrics import CSV, read_metrics
from pipeline.tools import environment, new_project

TABLE = Path("reports/bench/few_photos.csv")
DRAWS = [*product((10, 30, 100), (1, 2, 3)), (None, 1)]  # photos a class, None: all, and seed
DATA = {  # the stage that prepares it
    "best": "preprocess",
    "pretrained": "features@efficientnet_lite2",
    "fine_tuned": "features@efficientnet_lite2_stage_6",
}


def copy_draw(photos: Path, folder: Path, count: int | None, seed: int) -> None:
    """Copy the test photos, and `count` of the others of each class, to `folder`."""
    splits, generator = list_images(photos), np.random.default_rng(seed)
    for name in splits["train"]:
        rest = [path for split in splits if split != "test" for path in splits[split][name]]
        drawn = generator.permutation(len(rest))[:count]
        chosen = {"train": [rest[k] for k in drawn], "test": splits["test"][name]}
        for split, paths in chosen.items():
            (folder / split / name).mkdir(parents=True)
            for path in paths:
                shutil.copy(path, folder / split / name)


def measure(photos: Path, count: int | None, seed: int, variants: list[str]) -> list[object]:
    """A row for each of `variants`, on `count` photos a class for training and validation."""
    with tempfile.TemporaryDirectory() as scratch:
        study, drawn = Path(scratch, "study"), Path(scratch, "photos")
        copy_draw(photos, drawn, count, seed)
        new_project.study(str(study), str(drawn), "64")
        command = [sys.executable, "-m", "pipeline.tools.repro"]
        command += [f"evaluate@{variant}" for variant in variants]
        subprocess.run(command, cwd=study, check=True)
        with contextlib.chdir(study):
            return [
                {
                    "photos": count or "all",
                    "draw": seed,
                    "variant": variant,
                    **read_metrics(variant).model_dump(),
                    "minutes": sum(
                        environment.read_record(environment.path(stage))["seconds"] / 60
                        for stage in (DATA[variant], f"train@{variant}", f"evaluate@{variant}")
                    ),
                }
                for variant in variants
            ]


def main(photos: Path, variants: list[str]) -> None:
    """Measure all draws of `variants`, and write both tables."""
    rows: list[object] = []
    for count, seed in DRAWS:
        rows += measure(photos, count, seed, variants)
        files.write_text(TABLE, pd.DataFrame(rows).to_csv(**CSV))
    names = ["accuracy", "calibration_error", "rejection_rate", "minutes"]
    groups = pd.DataFrame(rows).groupby(["photos", "variant"], sort=False)[names]
    cells = groups.mean().map("{:.3f}".format) + groups.std().map(" ± {:.3f}".format)
    text = cells.replace(" ± nan", "", regex=True).reset_index().to_markdown(index=False)
    files.write_text(TABLE.with_suffix(".md"), text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
