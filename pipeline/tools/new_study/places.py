"""What `make study` was asked for, checked before anything is read or written."""

from pathlib import Path
from typing import NamedTuple

from pipeline.base.errors import PipelineError
from pipeline.tools import git

USAGE = "make study DIR=../flowers PHOTOS=~/flowers"
# The study's own network halves its images five times; the largest is that of dataset.side.
SIDES = range(32, 257)


class Asked(NamedTuple):
    """The new project's folder and that of the photos, absolute; the side to learn from."""

    folder: Path
    photos: Path
    side: int


def checked(folder: str, photos: str, side: str, *, project: Path) -> Asked:
    """DIR, PHOTOS and SIDE as they were given to make; PipelineError when a study cannot be so."""
    for name, given in (("DIR", folder), ("PHOTOS", photos)):
        if not given:
            raise PipelineError(f"{name}: expected a folder, found nothing: {USAGE}")
    if not side.isdecimal() or int(side) not in SIDES:
        raise PipelineError(
            f"SIDE: expected a number of pixels from {SIDES[0]} to {SIDES[-1]}, found {side!r}"
        )
    # make and some shells leave a ~ as it is.
    new, source = (Path(given).expanduser().resolve() for given in (folder, photos))
    asked = Asked(new, source, int(side))
    if not asked.photos.is_dir():
        raise PipelineError(
            f"PHOTOS: expected a folder with a folder of photos a class, found "
            f"{'a file' if asked.photos.exists() else 'nothing'} at {asked.photos}"
        )
    _check_folder(asked.folder, asked.photos, project)
    return asked


def _check_folder(folder: Path, photos: Path, project: Path) -> None:
    top = git.output("rev-parse", "--show-toplevel", folder=project).decode().removesuffix("\n")
    if folder.is_relative_to(Path(top).resolve()):
        raise PipelineError(
            f"DIR: expected a folder outside the repository {top}, found {folder}, inside it; "
            f"name one beside it, as in `{USAGE}`"
        )
    for one, other in ((photos, folder), (folder, photos)):
        if one.is_relative_to(other):
            raise PipelineError(
                f"DIR and PHOTOS: expected folders apart, found {one} "
                f"inside {other}; name another DIR"
            )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PipelineError(
            f"DIR: expected a folder that does not exist or is empty, found {folder}, which is "
            "neither; name another, or delete it"
        )
    if not folder.parent.is_dir():
        raise PipelineError(
            f"DIR: expected a name for a new folder in one that exists, found no folder "
            f"{folder.parent}; make it first"
        )
