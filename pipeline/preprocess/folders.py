"""A folder of photos, a folder a class, as people have them already: found, and what is odd named.

Either the classes' folders stand in the folder itself, or in folders of a split each. The names of
those are the ones by which Hugging Face's `imagefolder` knows them.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from pipeline.base.errors import PipelineError

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}
# What systems leave in folders, beside files and folders whose names begin with a dot.
LITTER = ("thumbs.db", "desktop.ini")
CLASSES_AT_LEAST = 2

Photos: TypeAlias = Mapping[str, tuple[Path, ...]]  # by class


def find(folder: Path) -> Mapping[str, Photos]:
    """The photos by split and class, in the order of their names; only `train` where undivided.

    All splits have the same classes. Raises PipelineError with a line for each thing that is odd:
    a class that only one split has, that has no photo, that another differs from in case alone.
    """
    if not folder.is_dir():
        raise PipelineError(
            f"dataset.folder: expected a folder with a folder of photos a class, found no folder "
            f"{folder}; correct params.yaml, or `dvc pull` if the photos are tracked"
        )
    try:
        places = _places(folder)
        found = {
            split: {_named(own): tuple(_files(own)) for own in sorted(_folders(place), key=_named)}
            for split, place in places.items()
        }
        problems = [*_spelt_twice(places.values()), *_problems(folder, found)]
    except OSError as error:
        raise PipelineError(
            f"cannot read the folder {error.filename}: {error.strerror}; check its permissions"
        ) from error
    if problems:
        raise PipelineError("\n".join(problems))
    return found


def _places(folder: Path) -> dict[str, Path]:
    """Where the classes of each split are."""
    inside = _folders(folder)
    named = [own for own in inside if _named(own).lower() in SPLIT_OF]
    if not any(SPLIT_OF[_named(own).lower()] == "train" for own in named):
        if named:
            raise PipelineError(
                f"{named[0]}: expected a folder `train` beside one of this name, which says a "
                "split, found none; add it, or rename this one if it is a class"
            )
        return {"train": folder}
    places: dict[str, Path] = {}
    for own in inside:
        split = SPLIT_OF.get(_named(own).lower())
        if split is None:
            raise PipelineError(
                f"{folder}: expected only folders of splits beside `train` "
                f"({', '.join(SPLIT_OF)}), found {own.name!r}; move it"
            )
        if split in places:
            raise PipelineError(f"{own} and {places[split]} both say {split}; keep one")
        places[split] = own
    return dict(sorted(places.items(), key=lambda item: list(SPLITS).index(item[0])))


def _problems(folder: Path, found: Mapping[str, Photos]) -> Iterator[str]:
    known = list(dict.fromkeys(name for photos in found.values() for name in photos))
    if len(known) < CLASSES_AT_LEAST:
        yield (
            f"{folder}: expected a folder of photos for each of at least {CLASSES_AT_LEAST} "
            f"classes, found {', '.join(known) or 'none'}"
        )
    for one, other in _alike(known):
        yield (
            f"{folder}: the classes {one!r} and {other!r} differ in case alone; put their photos "
            "into one folder"
        )
    for name in known:
        if not name.isprintable():
            yield f"{folder}: expected a printable name of a class, found {name!r}; rename it"
        if without := [split for split, photos in found.items() if name not in photos]:
            yield (
                f"{folder}: class {name!r} is missing from {' and '.join(without)}; add photos of "
                "it there, or take it out everywhere"
            )
        for split, photos in found.items():
            if name in photos and not photos[name]:
                yield f"{folder}: class {name!r} has no photo in {split}; add some, or delete it"


def _spelt_twice(places: Iterable[Path]) -> Iterator[str]:
    """Each two folders of a split that would be one class without a word."""
    for place in places:
        seen: dict[str, Path] = {}
        for own in sorted(_folders(place)):
            other = seen.setdefault(_named(own), own)
            if other != own:
                yield (
                    f"{place}: the classes {other.name!a} and {own.name!a} are one name, spelt in "
                    "two ways of Unicode; put their photos into one folder"
                )


def _alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each two of the `names` that some systems take for one."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield other, name


def _named(folder: Path) -> str:
    """The name, composed: macOS writes an umlaut as two characters, others as one."""
    return unicodedata.normalize("NFC", folder.name)


def _folders(place: Path) -> list[Path]:
    return [own for own in place.iterdir() if own.is_dir() and not own.name.startswith(".")]


def _files(place: Path) -> list[Path]:
    """All files below `place`, in an order that no system changes."""

    def fail(error: OSError) -> None:
        raise error  # by default os.walk passes over a folder that it cannot read

    found = []
    for folder, inside, names in os.walk(place, onerror=fail):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and name.lower() not in LITTER
        ]
    return sorted(found, key=lambda path: path.relative_to(place).parts)
