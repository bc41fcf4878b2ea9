"""A project of its own for a folder of photos: `make study DIR=../flowers PHOTOS=~/flowers`.

Copies the code and the photos, writes params.yaml from photos_params.yaml, and makes a git and
DVC repository with one commit. The photos are checked as stage preprocess does, before anything
is written.
"""

import io
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from dvc.utils.serialize import modify_yaml
from ruamel.yaml import YAML

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.datasets.config import ImageFolderConfig, read_dataset_config
from pipeline.datasets.image_folder import ImagesBySplit, list_images
from pipeline.datasets.splitting import assign_splits, hash_to_unit
from pipeline.page import training_times
from pipeline.tools import config, git, memory_estimate, signals
from pipeline.train import variant

TEMPLATE = Path(__file__).with_name("photos_params.yaml")
# What belongs to the results of this project, by the first part of its path.
LEFT_OUT = {
    *("dvc.lock", "params.yaml", "README.md", "CHANGELOG.md", "CITATION.cff"),
    *(".ci", ".dvc", ".github", "data", "models", "reports", "tests"),
}
# A cache type of the project's own: with links of a user's settings a moved project loses its data.
DVC_CONFIG = """[core]
    analytics = false
    check_update = false
[cache]
    type = "reflink,copy"
"""
# The number of photos to train on and their side for which photos_params.yaml was chosen.
CHOSEN_PHOTOS, CHOSEN_SIDE = 3_409, 64
# With fewer photos a batch is halved until an epoch has so many steps, or the batch so many photos.
STEPS_PER_EPOCH, SMALLEST_BATCH = 8, 32
SEEDS = range(1, 101)
README = """# {}

{:,} photos of {} classes, learned from at {} pixels a side.

```sh
make repro   # set up, then preprocess, train, evaluate and compare what is missing
.venv/bin/python -m pipeline.predict photo.jpg   # then: the classes of a photo
```

All results are in `reports/index.html`, all settings in `params.yaml`; `make help` lists the other
commands, and [docs/photos.md](docs/photos.md) says which photos are read and how they are split.
After photos were added or removed: `dvc add data/photos && make repro`.

The code and the examples in docs/ are of a study of CIFAR-10. Licence: [MIT](LICENSE).
"""


def main(arguments: list[str]) -> None:
    """Make the project of `arguments`: DIR, PHOTOS and SIDE, as make has them."""
    project, (folder, source) = Path.cwd(), expect_folders(*arguments[:2])
    photos = list_images(source)
    params = fitted_params(photos, arguments[2])
    dataset = read_dataset_config(YAML(typ="safe").load(params))
    assert isinstance(dataset, ImageFolderConfig)  # as the template says
    print(f"study: {memory_estimate.expect_memory(photos, dataset)}", flush=True)
    git.output(
        "var", "GIT_COMMITTER_IDENT", folder=source
    )  # fails without user.name and user.email
    paths = [path for classes in photos.values() for own in classes.values() for path in own]
    try:
        copy_project(project, folder)
        for path in paths:
            copy(path, folder / dataset.folder / path.relative_to(source))
        files.write_text(folder / params_file.PARAMS_FILE, params)
        readme = README.format(folder.name, len(paths), len(photos["train"]), dataset.side)
        files.write_text(folder / "README.md", readme)
        commit(folder, dataset.folder)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise PipelineError(
                f"cannot write {folder}: {error}; free space or fix its permissions, then run again"
            ) from error
        raise
    print(f"study: {folder} is ready; the next step: cd {folder} && make repro")


def expect_folders(folder: str, photos: str) -> tuple[Path, Path]:
    """The new project's folder and that of the photos, absolute.

    Raises PipelineError unless the first is new or empty, and neither is inside the other.
    """
    if not folder or not photos:
        raise PipelineError("usage: make study DIR=../flowers PHOTOS=~/flowers")
    # make and some shells leave a ~ as it is.
    new, source = (Path(os.path.expanduser(name)).resolve() for name in (folder, photos))
    if not source.is_dir():
        raise PipelineError(f"PHOTOS: expected a folder with a folder per class, found {source}")
    if (new.exists() and (not new.is_dir() or any(new.iterdir()))) or not new.parent.is_dir():
        raise PipelineError(
            f"DIR: expected a new or empty folder in one that exists, found {new}; name another"
        )
    for outer in (Path.cwd(), source):
        if new.is_relative_to(outer) or source.is_relative_to(new):
            raise PipelineError(
                f"DIR: expected a folder apart from the photos and outside this project, found "
                f"{new}; name another"
            )
    return new, source


def fitted_params(photos: ImagesBySplit, side: str) -> str:
    """The text of params.yaml for `photos`, with the comments of photos_params.yaml.

    Raises PipelineError when no network fits images of `side` pixels.
    """
    yaml = YAML()  # keeps comments
    yaml.width = 200
    yaml.representer.add_representer(
        type(None), lambda own, _: own.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    params = yaml.load(TEMPLATE.read_text(encoding="utf-8"))
    params["dataset"]["side"] = int(side) if side.isdecimal() else side
    dataset = read_dataset_config(params)
    assert isinstance(dataset, ImageFolderConfig)  # as the template says
    params["dataset"]["seed"] = lowest_seed(photos, dataset)
    counts = memory_estimate.split_counts(photos, dataset)
    for name in params["variants"]:
        network = variant.read(params, name)
        recipe = params["recipes"][network.recipe]
        is_held_out = recipe["train_on"] == "train"
        images = counts["train"] + (0 if is_held_out else counts["validation"])
        fit_recipe(recipe, images, dataset.side, network.least_side(dataset.side))
    config.check(params)
    text = io.StringIO()
    yaml.dump(params, text)
    return text.getvalue()


def fit_recipe(recipe: Any, photos: int, side: int, smallest: int) -> None:
    """Change `recipe` in place for so many `photos` of `side` pixels; `smallest` fit its network.

    About as many steps are made as were chosen, of smaller batches where there are few photos.
    """
    chosen = recipe["batch_size"]
    batch = chosen
    while batch > SMALLEST_BATCH and photos < STEPS_PER_EPOCH * batch:
        batch //= 2
    times = math.ceil(CHOSEN_PHOTOS / chosen) / math.ceil(photos / batch)
    times = min(max(times, 0.5), 4.0)
    recipe["batch_size"] = batch
    recipe["micro_batches_at_once"] = max(1, recipe["micro_batches_at_once"] * batch // chosen)
    recipe["epochs"] = round(recipe["epochs"] * times)
    for key in {"bias_learning_rate", "head_learning_rate"} & recipe.keys():
        recipe[key] = recipe[key] * batch / chosen  # of SGD, linear in the batch size
    for key, epochs in list(recipe["growth"].items()):
        del recipe["growth"][key]
        scaled = int(key[2:]) * side // CHOSEN_SIDE
        if scaled >= smallest:
            recipe["growth"][f"px{scaled}"] = round(epochs * times)


def lowest_seed(photos: ImagesBySplit, dataset: ImageFolderConfig) -> int:
    """The lowest seed by which every split gets a photo of every class; PipelineError if none."""
    smallest_first = sorted(photos["train"], key=lambda name: len(photos["train"][name]))
    for seed in SEEDS:
        if all(_is_in_all_splits(photos, name, dataset, seed) for name in smallest_first):
            return seed
    name = smallest_first[0]
    raise PipelineError(
        f"class {name!r}: expected enough photos for each of {', '.join(splits.NAMES)}, found "
        f"{len(photos['train'][name])}, of which no seed to {SEEDS[-1]} gives each split one; add "
        "photos to the smallest classes, or sort them into folders of these names yourself"
    )


def _is_in_all_splits(
    photos: ImagesBySplit, name: str, dataset: ImageFolderConfig, seed: int
) -> bool:
    given = [split for split, classes in photos.items() for _ in classes[name]]
    paths = [path for classes in photos.values() for path in classes[name]]
    drawn = np.array([hash_to_unit(path.read_bytes(), seed) for path in paths])
    return len(set(assign_splits(given, drawn, dataset).tolist())) == len(splits.NAMES)


def copy_project(project: Path, folder: Path) -> None:
    """Copy what a commit of `project` would hold, without its results, and without stage fetch."""
    for name in git.files(project):
        if Path(name).parts[0] not in LEFT_OUT and (project / name).is_file():
            copy(project / name, folder / name)
    with modify_yaml(folder / "dvc.yaml") as content:
        content["stages"].pop("fetch", None)
    files.write_text(folder / training_times.PATH, training_times.HEADER)


def copy(source: Path, target: Path) -> None:
    """A copy and no link: DVC makes files that it links read-only under every name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def commit(folder: Path, photos: str) -> None:
    """Make `folder` a git and DVC repository that tracks `photos`, with one commit of all files."""
    git.output("init", "--quiet", folder=folder)
    # Files that the user's own git ignores, such as *.lock or data/, belong to the project.
    git.output("config", "core.excludesFile", os.devnull, folder=folder)
    run_dvc(folder, "init", "--quiet")
    files.write_text(folder / ".dvc/config", DVC_CONFIG)
    run_dvc(folder, "add", "--quiet", photos)
    git.output("add", "--all", folder=folder)
    git.output("commit", "--quiet", "--message", "A new study", folder=folder)


def run_dvc(folder: Path, *arguments: str) -> None:
    """Run DVC in `folder`; PipelineError with its output when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=git.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PipelineError(f"`dvc {' '.join(arguments)}` failed: {done.stdout.strip()}")


if __name__ == "__main__":
    signals.raise_exit_on_signals()
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"study: {error}")
