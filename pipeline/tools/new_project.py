"""Copies of the project: `python -m pipeline.tools.new_project {quick,study}`.

For `make study` with a user's photos and params.yaml of photos_params.yaml, a git and DVC
repository with one commit; for `make quick` a small one in .quick without git, so that nothing
that DVC does in it touches committed results.
"""

import copy
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from dvc.repo import Repo
from dvc.utils.serialize import modify_yaml
from ruamel.yaml import YAML

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, read_params, read_section
from pipeline.datasets import features, fetch
from pipeline.datasets.config import ImageFolderConfig
from pipeline.datasets.image_loading import ImagesBySplit, list_images
from pipeline.tools import config, processes
from pipeline.tools.repository import copy_files, git

TEMPLATE = Path(__file__).with_name("photos_params.yaml")
COMMENTED = YAML()  # keeps comments
COMMENTED.width = 200
# What belongs to the results of this project.
LEFT_OUT = {
    *("dvc.lock", "params.yaml", "README.md", "CHANGELOG.md", "CITATION.cff"),
    *(".ci", ".dvc", ".github", "data", "models", "reports", "tests"),
}
# A cache type of the project's own: with links of a user's settings a moved project loses its data.
DVC_CONFIG = "[core]\nanalytics = false\ncheck_update = false\n[cache]\ntype = 'reflink,copy'"
# The number of photos and their side for which photos_params.yaml was chosen.
CHOSEN_PHOTOS, CHOSEN_SIDE = 3_409, 64
# With fewer photos a batch is halved until an epoch has so many steps, or the batch so many photos.
STEPS_PER_EPOCH, SMALLEST_BATCH = 8, 32

QUICK = Path(".quick")
QUICK_IMAGES = {"train_images": 4000, "validation_images": 1000}
QUICK_WIDTH = 16  # of the widest layer: at full width the evaluation of `best` takes minutes


def study(*arguments: str) -> None:
    """Make the project of `arguments`: DIR, PHOTOS and SIDE, as make has them."""
    if not all(arguments):
        raise PipelineError("usage: make study DIR=../flowers PHOTOS=~/flowers")
    # make and some shells leave a ~ as it is.
    folder, source = (Path(name).expanduser().resolve() for name in arguments[:2])
    if folder.exists() or any(folder.is_relative_to(outer) for outer in (Path.cwd(), source)):
        raise PipelineError(f"DIR: expected a new folder outside project and photos, not {folder}")
    photos = list_images(source)
    params = fitted_params(photos, arguments[2])
    # Renamed when complete: an interrupted run leaves no half project.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        new = Path(scratch, folder.name)
        copy_files(Path.cwd(), new, left_out=LEFT_OUT)
        with modify_yaml(new / "dvc.yaml") as content:
            content["stages"].pop("fetch", None)
        COMMENTED.dump(params, new / PARAMS_FILE)
        for path in chain(*(own for classes in photos.values() for own in classes.values())):
            target = new / "data/photos" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)  # no link, as DVC makes what it links read-only
        commit(new)
        new.rename(folder)
    print(f"study: {folder} is ready; the next step: cd {folder} && make repro")


def fitted_params(photos: ImagesBySplit, side: str) -> Any:
    """The parameters for `photos`, with the comments of params.yaml and TEMPLATE.

    Raises PipelineError when a network does not fit images of `side` pixels.
    """
    params = from_template(COMMENTED.load(PARAMS_FILE))
    params["page"] |= {"variant": "best", "compared_with": ["final", "quick"]}
    params["dataset"]["side"] = int(side) if side.isdecimal() else side
    dataset = read_section(params, "dataset", ImageFolderConfig)
    for recipe in params["recipes"].values():
        fit_recipe(recipe, sum(map(len, photos["train"].values())), dataset.side)
    config.check(params)
    return params


def from_template(params: Any) -> Any:
    """`params` with the sections of TEMPLATE, whose recipes and variants start from theirs."""
    template = COMMENTED.load(TEMPLATE)
    for section in ("recipes", "variants"):
        for name, changes in template[section].items():
            if "from" in changes:
                known = template[section] | params[section]
                template[section][name] = copy.deepcopy(known[changes.pop("from")])
                template[section][name].update(changes)
    return params | template


def fit_recipe(recipe: Any, photos: int, side: int) -> None:
    """Change `recipe` in place for about so many `photos` of `side` pixels: about as many steps as
    were chosen, of smaller batches where there are few photos."""
    ratio = 1.0
    while recipe["batch_size"] > SMALLEST_BATCH and photos < STEPS_PER_EPOCH * recipe["batch_size"]:
        recipe["batch_size"] //= 2
        recipe["parallel_micro_batches"] = max(1, recipe["parallel_micro_batches"] // 2)
        ratio /= 2
    # SGD's are linear in the batch size. With Muon's unchanged two of three trainings on 90 photos
    # a class diverged; on photos held out 0.7 to 0.84 of it were best there, as good on 9 to 45.
    powers = {"bias_learning_rate": 1, "head_learning_rate": 1, "learning_rate": 0.2}
    for key in powers.keys() & recipe.keys():
        recipe[key] = float(f"{recipe[key] * ratio ** powers[key]:.4g}")
    scale = min(max(ratio * CHOSEN_PHOTOS / photos, 0.5), 4.0)
    recipe["epochs"] = round(recipe["epochs"] * scale)
    sizes = recipe["progressive_resizing"]
    if side != CHOSEN_SIDE:
        sizes.clear()
    for key in sizes:
        sizes[key] = round(sizes[key] * scale)


def commit(folder: Path) -> None:
    """Make `folder` a git and DVC repository that tracks data/photos, with one commit of all."""
    git("init", "--quiet", folder=folder)
    # Files that the user's own git ignores, such as *.lock or data/, belong to the project.
    git("config", "core.excludesFile", os.devnull, folder=folder)
    Repo.init(str(folder)).close()
    files.write_text(folder / ".dvc/config", DVC_CONFIG)
    with Repo(str(folder)) as repo:
        repo.add([str(folder / "data/photos")])
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--message", "A new study", folder=folder)


def quick() -> None:
    """Make QUICK anew: the files that a commit would hold, and CIFAR-10 or the photos.

    Without dvc.lock and results, so that every stage runs.
    """
    params = read_params()
    config.check(params)
    if params["dataset"]["kind"] == "cifar10":
        fetch.main([])
    shutil.rmtree(QUICK, ignore_errors=True)
    copy_files(Path(), QUICK, left_out=("dvc.lock", "data", "reports"))
    for data in filter(os.path.exists, (params["dataset"]["folder"], features.WEIGHTS)):
        shutil.copytree(data, QUICK / data, dirs_exist_ok=True)  # part of it may be in git
    files.write_text(QUICK / ".dvc/config.local", "[core]\n    no_scm = true")
    files.write_text(QUICK / PARAMS_FILE, yaml.safe_dump(quick_params(params), sort_keys=False))


def quick_params(params: dict[str, Any]) -> dict[str, Any]:
    """A copy of `params` with one epoch, narrow networks and, of CIFAR-10, fewer images."""
    small = copy.deepcopy(params)
    if small["dataset"]["kind"] == "cifar10":
        small["dataset"] |= QUICK_IMAGES
    for recipe in small["recipes"].values():
        recipe |= {"epochs": 1, "progressive_resizing": {}}
    for backbone in small["backbones"].values():
        backbone["side"] = 32  # pixels
    for variant in small["variants"].values():
        if "widths" in variant:
            variant["widths"] = [min(width, QUICK_WIDTH) for width in variant["widths"]]
    for views in small["test_time_augmentation"].values():
        views["shift"] = 0
    return small


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"quick": quick, "study": study}
    processes.run_command(commands[sys.argv[1]], *sys.argv[2:])
