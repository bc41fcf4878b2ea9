"""A small copy of the project in .quick, for `make quick`: `python -m pipeline.tools.quick`.

The copy has no git, so nothing that DVC does in it touches committed results. Only the data set
is the same, so one download serves both.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets import fetch
from pipeline.datasets.config import ImageFolderConfig, read_dataset_config
from pipeline.datasets.image_folder import list_images
from pipeline.page import training_times
from pipeline.tools import config, git

FOLDER = Path(".quick")
IMAGES = {"train_images": 4000, "validation_images": 1000}
RECIPE = {"epochs": 1}
WIDTH = 16  # of the widest layer: at full width the evaluation of `best` takes minutes
VIEW = {"shift": 0}
RESULTS = ("dvc.lock", "reports")  # left out, so that every stage runs


def quick_params(params: dict[str, Any]) -> dict[str, Any]:
    """`params` with one epoch, narrow networks and, of CIFAR-10, fewer images."""
    variants = {
        name: variant | {"widths": [min(width, WIDTH) for width in variant["widths"]]}
        if "widths" in variant
        else variant
        for name, variant in params["variants"].items()
    }
    images = IMAGES if params["dataset"]["kind"] == "cifar10" else {}
    return params | {
        "dataset": params["dataset"] | images,
        "recipes": {name: recipe | RECIPE for name, recipe in params["recipes"].items()},
        "variants": variants,
        "views": {name: view | VIEW for name, view in params["views"].items()},
    }


def prepare(folder: Path, *, project: Path) -> None:
    """Make `folder` anew: the files of `project` that a commit would hold, and its data set.

    Raises PipelineError when `project` is no git repository.
    """
    params = quick_params(params_file.read(project / params_file.PARAMS_FILE))
    shutil.rmtree(folder, ignore_errors=True)
    for name in git.files(project):
        # Without DVC's files of tracked data: its copy need not be in the cache twice.
        copied = Path(name).parts[0] not in RESULTS and not name.endswith(".dvc")
        if copied and (project / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
    data = params["dataset"]["folder"]
    if not (folder / data).exists():  # it does where git tracks it
        shutil.copytree(project / data, folder / data)
    files.write_text(folder / ".dvc/config.local", "[core]\n    no_scm = true")
    files.write_text(folder / training_times.PATH, training_times.HEADER)
    files.write_text(folder / params_file.PARAMS_FILE, yaml.safe_dump(params, sort_keys=False))


def main() -> None:
    """Fetch CIFAR-10 where it is missing, then prepare FOLDER; PipelineError without photos."""
    params = params_file.read()
    config.check(params)
    dataset = read_dataset_config(params)
    if isinstance(dataset, ImageFolderConfig):
        list_images(Path(dataset.folder))
    else:
        fetch.main([])
    prepare(FOLDER, project=Path())


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"quick: {error}")
