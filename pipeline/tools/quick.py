"""A small copy of the project, to see the whole graph work: `python -m pipeline.tools.quick`.

`make quick` then runs DVC in .quick, a repository of its own without git, so that nothing there
can touch a committed result. Only the data set is the same: a download serves both.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets import image_folder
from pipeline.datasets.config import ImageFolderConfig, read_dataset_config
from pipeline.fetch import stage as fetch
from pipeline.page import times
from pipeline.tools import git, schema

FOLDER = Path(".quick")
TRAIN_IMAGES = 4000
VALIDATION_IMAGES = 1000
RECIPE = {"epochs": 1}
# At full width, `best` takes three minutes to answer about six views of 10,000 test images.
WIDTH = 16
VIEW = {"shift": 0}

# The results of earlier runs: without them every stage of the copy has to run.
RESULTS = ("dvc.lock", "reports")
# DVC's notes on the data set, whose copy is to be no second one in the cache.
TRACKED = ".dvc"


def shortened(full: dict[str, Any]) -> dict[str, Any]:
    """`full` with one epoch and narrow networks whatever is added to it, and fewer images.

    But for photos of one's own, of which all are taken.
    """
    is_cifar10 = full["dataset"]["kind"] == "cifar10"
    sizes = {"train_images": TRAIN_IMAGES, "validation_images": VALIDATION_IMAGES}
    variants = {
        name: variant | {"widths": [min(width, WIDTH) for width in variant["widths"]]}
        if "widths" in variant
        else variant
        for name, variant in full["variants"].items()
    }
    return full | {
        "dataset": full["dataset"] | (sizes if is_cifar10 else {}),
        "recipes": {name: recipe | RECIPE for name, recipe in full["recipes"].items()},
        "variants": variants,
        "views": {name: seen | VIEW for name, seen in full["views"].items()},
    }


def prepare(folder: Path, *, project: Path) -> None:
    """Make `folder` anew: the files of `project` that git tracks or would, and its data set.

    Uncommitted changes come along. Raises PipelineError when `project` is no git repository.
    """
    small = shortened(params_file.read(project / params_file.PARAMS_FILE))
    shutil.rmtree(folder, ignore_errors=True)
    for name in git.files(project):
        left = Path(name).parts[0] in RESULTS or Path(name).suffix == TRACKED
        if not left and (project / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
    data = small["dataset"]["folder"]
    if not (folder / data).exists():  # git tracks it, or it lies outside the project
        shutil.copytree(project / data, folder / data)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    files.write_text(folder / times.PATH, ",".join(times.COLUMNS))  # none is known of its trainings
    (folder / params_file.PARAMS_FILE).write_text(
        yaml.safe_dump(small, sort_keys=False), encoding="utf-8"
    )


def expect_data(params: Mapping[str, Any]) -> None:
    """Fetch CIFAR-10 where it is missing; PipelineError where photos are."""
    dataset = read_dataset_config(params)
    if isinstance(dataset, ImageFolderConfig):
        image_folder.list_images(Path(dataset.folder))
    else:
        fetch.main([])


if __name__ == "__main__":
    try:
        params = params_file.read()
        schema.check(params)
        expect_data(params)
        prepare(FOLDER, project=Path())
    except PipelineError as error:
        sys.exit(f"quick: {error}")
