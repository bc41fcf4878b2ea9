"""Which photo is in which split, where the folders do not say, and which are in two."""

import hashlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.data.settings import Photos

TRAIN, VALIDATION, TEST = range(len(splits.NAMES))
DROPPED = -1


def draw(content: bytes, seed: int) -> float:
    """A number in [0, 1) that follows from a photo's `content` and the `seed` alone."""
    digest = hashlib.sha256(f"{seed}\n".encode() + content).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # float64 holds it exactly


def divided(
    given: Iterable[str], drawn: np.ndarray, settings: Photos, *, missing: Collection[str]
) -> np.ndarray:
    """The split of each photo as a place in splits.NAMES, int64 (N,).

    `given` is the split of its folder; by `drawn` float64 (N,), what `draw` gives for it, photos of
    train go to the splits that are `missing`. As nothing else has a part in it, a photo that is
    added, removed or renamed moves no other.
    """
    members = np.array([splits.NAMES.index(split) for split in given])
    training, below = members == TRAIN, 0.0
    for place, share in ((TEST, settings.test_share), (VALIDATION, settings.validation_share)):
        if splits.NAMES[place] in missing:
            members[training & (below <= drawn) & (drawn < below + share)] = place
            below += share
    return members


def without_copies(members: np.ndarray, images: np.ndarray) -> np.ndarray:
    """`members` (N,) with DROPPED for each photo that a split to measure by has as well.

    Of test and validation, test keeps a photo; of those and train, train loses it. Copies are
    `images` uint8 (N, S, S, 3) of the same pixels; within a split they stay.
    """
    digests = [hashlib.blake2b(image.data, digest_size=16).digest() for image in images]
    kept, seen = members.copy(), set[bytes]()
    for place in (TEST, VALIDATION, TRAIN):
        own = np.flatnonzero(members == place)
        kept[[index for index in own if digests[index] in seen]] = DROPPED
        seen |= {digests[index] for index in own}
    return kept


def expect_all(
    members: np.ndarray, labels: np.ndarray, classes: Sequence[str], folder: str
) -> None:
    """PipelineError with a line for each class of which a split has no photo."""
    lines = [
        f"{folder}: class {name!r}: expected at least one of its "
        f"{np.count_nonzero(labels == label)} photos in {split}, found none; add photos, or change "
        "the shares, the seed or the duplicates of dataset"
        for place, split in enumerate(splits.NAMES)
        for label, name in enumerate(classes)
        if not np.any((members == place) & (labels == label))
    ]
    if lines:
        raise PipelineError("\n".join(lines))
