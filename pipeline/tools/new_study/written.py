"""A new study on disk: made beside its place and renamed, so that it is whole or not there."""

import os
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets.image_folder import ImagesBySplit
from pipeline.page import times
from pipeline.tools import git
from pipeline.tools.new_study import photos, travel
from pipeline.tools.new_study.places import Asked

README = Path(__file__).parent / "readme.md"
PHOTOS = Path("data/photos")  # as dataset.folder in pipeline/tools/study_params.yaml has it
NAMED_CLASSES = 20  # in the README


def write(asked: Asked, found: ImagesBySplit, params: str, *, project: Path) -> None:
    """Make the study `asked` for, of the photos `found`, with `params` as its params.yaml.

    Raises PipelineError, with nothing left at its place, when the disk is full, or git knows not
    in whose name to commit.
    """
    git.output("var", "GIT_COMMITTER_IDENT", folder=asked.photos)
    unfinished = asked.folder.with_name(f".{asked.folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    try:
        unfinished.mkdir()
        _fill(unfinished, asked, found, params, project)
        os.rename(unfinished, asked.folder)
    except OSError as error:
        raise PipelineError(
            f"cannot write {asked.folder}: {error}; free space or fix its permissions, then run "
            "again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fill(folder: Path, asked: Asked, found: ImagesBySplit, params: str, project: Path) -> None:
    travel.copy(project, folder, asked.folder.name)
    files.write_text(folder / params_file.PARAMS_FILE, params)
    files.write_text(folder / "README.md", _readme(asked, found))
    files.write_text(folder / times.PATH, ",".join(times.COLUMNS))  # nothing is trained yet
    photos.copy(found, asked.photos, folder / PHOTOS)
    _run(folder, "git", "init", "--quiet")
    _run(folder, sys.executable, "-m", "dvc", "add", "--quiet", str(PHOTOS))
    shutil.rmtree(folder / ".dvc/tmp")  # its notes are on the folder's present name
    _run(folder, "git", "add", "--all")
    _run(folder, "git", "commit", "--quiet", "--message", "A new study")


def _readme(asked: Asked, found: ImagesBySplit) -> str:
    classes = list(found["train"])
    more = f" and {len(classes) - NAMED_CLASSES} more" if len(classes) > NAMED_CLASSES else ""
    count = sum(len(paths) for photos in found.values() for paths in photos.values())
    return string.Template(README.read_text(encoding="utf-8")).substitute(
        title=asked.folder.name,
        photos=f"{count:,}",
        count=len(classes),
        classes=", ".join(classes[:NAMED_CLASSES]) + more,
        side=asked.side,
    )


def _run(folder: Path, *command: str) -> None:
    """Run `command` in `folder`; PipelineError with what it said when it fails."""
    with tempfile.TemporaryDirectory() as notes:  # DVC's, by the name of the folder
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "DVC_SITE_CACHE_DIR": notes, "DVC_NO_ANALYTICS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PipelineError(f"`{' '.join(command)}` failed: {done.stdout.strip()}; mend that")
