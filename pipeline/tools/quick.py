"""A small copy of the project in .quick, for `make quick`: `python -m pipeline.tools.quick`.

The copy has no git, so nothing that DVC does in it touches committed results. Only the data set
is the same, so one download serves both.
"""

import copy
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, read_params
from pipeline.datasets import fetch
from pipeline.tools import config, git

FOLDER = Path(".quick")
IMAGES = {"train_images": 4000, "validation_images": 1000}
WIDTH = 16  # of the widest layer: at full width the evaluation of `best` takes minutes


def quick_params(params: dict[str, Any]) -> dict[str, Any]:
    """A copy of `params` with one epoch, narrow networks and, of CIFAR-10, fewer images."""
    quick = copy.deepcopy(params)
    if quick["dataset"]["kind"] == "cifar10":
        quick["dataset"] |= IMAGES
    for recipe in quick["recipes"].values():
        recipe |= {"epochs": 1, "progressive_resizing": {}}
    for variant in quick["variants"].values():
        if "widths" in variant:
            variant["widths"] = [min(width, WIDTH) for width in variant["widths"]]
    for views in quick["test_time_augmentation"].values():
        views["shift"] = 0
    return quick


def prepare(folder: Path, *, project: Path) -> None:
    """Make `folder` anew: the files of `project` that a commit would hold, and its data set.

    Without dvc.lock and results, so that every stage runs. Raises PipelineError when `project` is
    no git repository.
    """
    params = quick_params(read_params(project / PARAMS_FILE))
    shutil.rmtree(folder, ignore_errors=True)
    git.copy_files(project, folder, left_out=("dvc.lock", "data", "reports"))
    data = params["dataset"]["folder"]
    shutil.copytree(project / data, folder / data, dirs_exist_ok=True)  # part of it may be in git
    files.write_text(folder / ".dvc/config.local", "[core]\n    no_scm = true")
    files.write_text(folder / PARAMS_FILE, yaml.safe_dump(params, sort_keys=False))


def main() -> None:
    """Fetch CIFAR-10 where it is missing, then prepare FOLDER."""
    params = read_params()
    config.check(params)
    if params["dataset"]["kind"] == "cifar10":
        fetch.main([])
    prepare(FOLDER, project=Path())


if __name__ == "__main__":
    try:
        main()
    except (PipelineError, OSError) as error:
        sys.exit(f"quick: {error}")
