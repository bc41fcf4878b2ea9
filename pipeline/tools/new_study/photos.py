"""The photos of a new study: copied into it, and a seed by which every split gets some."""

import shutil
from pathlib import Path

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.datasets import splitting
from pipeline.datasets.config import ImageFolderConfig
from pipeline.datasets.image_folder import ImagesBySplit

SEEDS = range(1, 101)


def copy(found: ImagesBySplit, source: Path, folder: Path) -> None:
    """Copy the photos `found` below `source` to the same places below `folder`.

    Copies, and no links: DVC makes a tracked file's other names read-only where it links them.
    """
    for photos in found.values():
        for paths in photos.values():
            for path in paths:
                place = folder / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, place)


def seed(found: ImagesBySplit, dataset: ImageFolderConfig) -> int:
    """The first seed by which every split gets a photo of every class; PipelineError if none does.

    Splits of their own folders need none. Of small classes a split may get nothing by chance.
    """
    smallest_first = sorted(found["train"], key=lambda name: len(found["train"][name]))
    for number in SEEDS:
        if all(_in_all(found, name, dataset, number) for name in smallest_first):
            return number
    name = smallest_first[0]
    raise PipelineError(
        f"class {name!r}: expected enough photos for a few in each of {', '.join(splits.NAMES)}, "
        f"found {len(found['train'][name])}, and no seed of {SEEDS[0]} to {SEEDS[-1]} by which "
        "every class has one there; add photos to the smallest classes, or put "
        "photos of each class into folders of these names yourself"
    )


def _in_all(found: ImagesBySplit, name: str, dataset: ImageFolderConfig, number: int) -> bool:
    """Whether each split has a photo of class `name` by the seed `number`."""
    given = [split for split, photos in found.items() for _ in photos[name]]
    paths = [path for photos in found.values() for path in photos[name]]
    drawn = np.array([splitting.hash_to_unit(path.read_bytes(), number) for path in paths])
    members = splitting.assign_splits(given, drawn, dataset)
    return len(np.unique(members)) == len(splits.NAMES)
