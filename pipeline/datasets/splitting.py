"""Splits of a data set: which images are for training, validation and test."""

import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.core import splits
from pipeline.core.errors import PipelineError
from pipeline.datasets import cifar10
from pipeline.datasets.config import Cifar10Config, ImageFolderConfig

TRAIN, VALIDATION, TEST = range(len(splits.NAMES))
DROPPED = -1


def hash_to_unit(content: bytes, seed: int) -> float:
    """A pseudorandom number in [0, 1) from the SHA-256 of `seed` and the `content` of a file."""
    digest = hashlib.sha256(f"{seed}\n".encode() + content).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # exact in float64


def assign_splits(
    folder_splits: Sequence[str], hashes: np.ndarray, config: ImageFolderConfig
) -> np.ndarray:
    """The split of each image as an index into splits.NAMES, int64 (N,).

    `folder_splits` names the split of each image's folder. Images in `train` go to the splits that
    have no folder by their `hashes`, float64 (N,) of `hash_to_unit`. So an image that is added,
    removed or renamed moves no other.
    """
    assigned = np.array([splits.NAMES.index(split) for split in folder_splits])
    training, start = assigned == TRAIN, 0.0
    for split, share in ((TEST, config.test_share), (VALIDATION, config.validation_share)):
        if splits.NAMES[split] not in folder_splits:
            assigned[training & (start <= hashes) & (hashes < start + share)] = split
            start += share
    return assigned


def drop_duplicates(assigned: np.ndarray, images: np.ndarray) -> np.ndarray:
    """`assigned` (N,) with DROPPED for images that a later split has too, against leakage.

    Test keeps all, validation loses what test has, train what either has. Duplicates have equal
    pixels in `images`, uint8 (N, S, S, 3); within a split they stay.
    """
    digests = np.array(
        [hashlib.blake2b(image.data, digest_size=16).hexdigest() for image in images]
    )
    kept = assigned.copy()
    for split in (TRAIN, VALIDATION):
        kept[(assigned == split) & np.isin(digests, digests[assigned > split])] = DROPPED
    return kept


def require_every_class(
    assigned: np.ndarray, labels: np.ndarray, classes: Sequence[str], folder: str
) -> None:
    """PipelineError with a line for each class of which a split has no image."""
    present = set(zip(assigned.tolist(), labels.tolist(), strict=True))
    lines = [
        f"{folder}: class {name!r}: expected at least one image in {split_name}, found none; add "
        "images, or change the shares, the seed or the duplicates of dataset"
        for split, split_name in enumerate(splits.NAMES)
        for label, name in enumerate(classes)
        if (split, label) not in present
    ]
    if lines:
        raise PipelineError("\n".join(lines))


def stratified_split(labels: np.ndarray, config: Cifar10Config) -> tuple[np.ndarray, np.ndarray]:
    """Ascending indices int64 into `labels` (N,), for train and for validation.

    Both have equally many images of each class, drawn without replacement. Each class is shuffled
    by the seed; validation takes from the front, train what follows. So `train_images` does not
    change validation, and more training images include the fewer.
    """
    classes = len(cifar10.CLASSES)
    validation, train = config.validation_images // classes, config.train_images // classes
    generator = np.random.default_rng(config.seed)
    shuffled = [generator.permutation(np.flatnonzero(labels == c)) for c in range(classes)]
    return (
        np.sort(np.concatenate([own[validation : validation + train] for own in shuffled])),
        np.sort(np.concatenate([own[:validation] for own in shuffled])),
    )
