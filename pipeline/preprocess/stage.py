"""Stage preprocess: the photos as float images and one-hot labels in three splits."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes, settings, splits
from pipeline.preprocess import official, parts, photos
from pipeline.preprocess.parts import Parts

# By dataset.kind.
DATASETS: Mapping[str, Callable[[Any], Parts]] = {
    "cifar10": official.parts,
    "photos": photos.parts,
}


def main(arguments: list[str]) -> None:
    """Write data/processed/{train,validation,test}.npz and classes.txt from the data set."""
    if arguments:
        raise PipelineError("usage: python -m pipeline preprocess")
    dataset = settings.read(params_file.read())
    found = DATASETS[dataset.kind](dataset)
    for name in splits.NAMES:
        part = found.by_name[name]
        files.write_arrays(
            splits.path(name),
            images=parts.scaled(part),
            labels=parts.one_hot(part, len(found.classes)),
        )
    classes.write(found.classes)
