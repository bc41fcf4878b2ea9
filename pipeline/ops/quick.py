"""A small copy of the project, to see the whole graph work: `python -m pipeline.ops.quick`.

`make quick` then runs DVC in .quick, a repository of its own without git, so that nothing there
can touch a committed result. Only data/raw is shared: a download serves both.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.fetch import stage as fetch
from pipeline.ops import git, schema
from pipeline.page import times

FOLDER = Path(".quick")
TRAIN_IMAGES = 4000
VALIDATION_IMAGES = 1000
RECIPE = {"epochs": 1}
# At full width, `best` takes three minutes to answer about six views of 10,000 test images.
WIDTH = 16
VIEW = {"shift": 0}

# The results of earlier runs: without them every stage of the copy has to run.
RESULTS = ("dvc.lock", "reports")


def shortened(full: dict[str, Any]) -> dict[str, Any]:
    """`full` with fewer images, and with one epoch and narrow networks whatever is added to it."""
    sizes = {"train_images": TRAIN_IMAGES, "validation_images": VALIDATION_IMAGES}
    variants = {
        name: variant | {"widths": [min(width, WIDTH) for width in variant["widths"]]}
        if "widths" in variant
        else variant
        for name, variant in full["variants"].items()
    }
    return full | {
        "preprocess": full["preprocess"] | sizes,
        "recipes": {name: recipe | RECIPE for name, recipe in full["recipes"].items()},
        "variants": variants,
        "views": {name: seen | VIEW for name, seen in full["views"].items()},
    }


def prepare(folder: Path, *, project: Path) -> None:
    """Make `folder` anew: the files of `project` that git tracks or would, and data/raw.

    Uncommitted changes come along. Raises PipelineError when `project` is no git repository.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in _files(project):
        if Path(name).parts[0] not in RESULTS and (project / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
    shutil.copytree(project / fetch.RAW, folder / fetch.RAW)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    files.write_text(folder / times.PATH, ",".join(times.COLUMNS))  # none is known of its trainings
    small = shortened(params_file.read(project / params_file.PARAMS_FILE))
    (folder / params_file.PARAMS_FILE).write_text(
        yaml.safe_dump(small, sort_keys=False), encoding="utf-8"
    )


def _files(project: Path) -> list[str]:
    """What a commit of everything in `project` would hold, but for what is ignored."""
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return os.fsdecode(git.output(*listing, folder=project)).rstrip("\0").split("\0")


if __name__ == "__main__":
    try:
        schema.check(params_file.read())
        fetch.main([])
        prepare(FOLDER, project=Path())
    except PipelineError as error:
        sys.exit(f"quick: {error}")
