"""Stage preprocess: normalized images and one-hot labels in three splits."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm.contrib.concurrent import thread_map

from pipeline.core import files, paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params, read_section
from pipeline.datasets import cifar10
from pipeline.datasets.config import Cifar10Config, DatasetConfig, ImageFolderConfig
from pipeline.datasets.image_loading import list_images, load_image

Subset: TypeAlias = tuple[np.ndarray, np.ndarray]  # images uint8 (N, S, S, 3) and labels (N,)
Dataset: TypeAlias = tuple[tuple[str, ...], Mapping[str, Subset]]  # class names, and by split
TRAIN, VALIDATION, TEST = range(len(splits.NAMES))
DROPPED = -1


def load_cifar10(config: Cifar10Config) -> Dataset:
    """CIFAR-10 from its official files, which fetch has verified."""
    (images, labels), test = (
        cifar10.decode(b"".join(Path(config.folder, name).read_bytes() for name in names))
        for names in (cifar10.TRAIN_FILES, cifar10.TEST_FILES)
    )
    parts = zip(splits.NAMES, stratified_split(labels, config), strict=False)
    subsets = {name: (images[part], labels[part]) for name, part in parts}
    return cifar10.CLASSES, subsets | {"test": test}


def load_image_folder(config: ImageFolderConfig) -> Dataset:
    """The images of a folder; PipelineError with a line for each that cannot be read, or each class
    of which a split has no image."""
    folder = Path(config.folder)
    images_by_split = list_images(folder)
    names = tuple(images_by_split["train"])
    rows = [
        (split, label, path)
        for split, by_class in images_by_split.items()
        for label, name in enumerate(names)
        for path in by_class[name]
    ]
    labels = np.array([label for _, label, _ in rows])
    images, hashes = _read_images([path for *_, path in rows], config)
    assigned = assign_splits([split for split, *_ in rows], labels, hashes, config)
    if config.duplicates == "drop":
        assigned = drop_duplicates(assigned, images)
        count = np.count_nonzero(assigned == DROPPED)
        print(f"preprocess: {count:,} duplicates of images in other splits dropped")
    masks = {name: assigned == split for split, name in enumerate(splits.NAMES)}
    subsets = {name: (images[mask], labels[mask]) for name, mask in masks.items()}
    if problems := [
        f"{folder}: class {name!r}: expected at least one image in {split}, found none; add "
        "images, or change the shares or the duplicates of dataset"
        for split, (_, own) in subsets.items()
        for label, name in enumerate(names)
        if label not in own
    ]:
        raise PipelineError("\n".join(problems))
    return names, subsets


# By dataset.kind.
LOADERS: Mapping[str, Callable[[Any], Dataset]] = {
    "cifar10": load_cifar10,
    "photos": load_image_folder,
}


def main(arguments: list[str]) -> None:
    """Write data/processed/{train,validation,test}.npz and classes.txt."""
    config = read_section(read_params(), "dataset", DatasetConfig)
    names, subsets = LOADERS[config.kind](config)
    one_hot = np.eye(len(names), dtype=np.float32)
    for name, (images, labels) in subsets.items():
        write_npz(paths.split(name), images=images / np.float32(255), labels=one_hot[labels])
    files.write_text(paths.CLASS_NAMES, "\n".join(names))


def _read_images(paths: Sequence[Path], config: ImageFolderConfig) -> tuple[np.ndarray, np.ndarray]:
    """The images uint8 (N, S, S, 3), and the SHA-256 (N,) of the seed and the file of each."""

    def read_one(path: Path) -> tuple[np.ndarray, str] | PipelineError:
        """The error is returned, so that all can be listed."""
        try:
            image = load_image(path, side=config.side, crop_mode=config.crop_mode)
        except PipelineError as error:
            return error
        digest = hashlib.sha256(f"{config.seed}\n".encode() + path.read_bytes()).hexdigest()
        return np.rint(image * 255).astype(np.uint8), digest

    options: Any = {"desc": "preprocess", "unit": "image", "disable": None}  # on a terminal only
    rows = thread_map(read_one, paths, max_workers=os.cpu_count(), **options)
    if errors := [str(row) for row in rows if isinstance(row, PipelineError)]:
        raise PipelineError("\n".join(errors))
    images, hashes = zip(*rows, strict=True)
    return np.stack(images), np.array(hashes)


def assign_splits(
    folder_splits: Sequence[str], labels: np.ndarray, hashes: np.ndarray, config: ImageFolderConfig
) -> np.ndarray:
    """The split of each image as an index into splits.NAMES, int64 (N,).

    `folder_splits` names the split of each image's folder, `labels` int64 (N,) are its classes.
    Splits without a folder are drawn from `train`: of the distinct `hashes` (N,) of a class the
    lowest share is test and the highest validation. So copies stay together, and an image that is
    added or removed moves at most one other into or out of each of them.
    """
    assigned = np.array([splits.NAMES.index(split) for split in folder_splits])
    shares = np.array([config.test_share, config.validation_share])
    for label in np.unique(labels):
        own = np.flatnonzero((assigned == TRAIN) & (labels == label))
        values = np.unique(hashes[own])
        test, validation = np.maximum(1, np.rint(shares * len(values)).astype(int))
        if "test" not in folder_splits:
            assigned[own[hashes[own] <= values[test - 1]]] = TEST
        if "validation" not in folder_splits:
            assigned[own[hashes[own] >= values[-validation]]] = VALIDATION
    return assigned


def drop_duplicates(assigned: np.ndarray, images: np.ndarray) -> np.ndarray:
    """`assigned` (N,) with DROPPED for images that a later split has too, against leakage.

    Test keeps all, validation loses what test has, train what either has. Duplicates have equal
    pixels in `images`, uint8 (N, S, S, 3); within a split they stay.
    """
    digests = np.array([hashlib.sha256(image.data).hexdigest() for image in images])
    kept = assigned.copy()
    for split in (TRAIN, VALIDATION):
        kept[(assigned == split) & np.isin(digests, digests[assigned > split])] = DROPPED
    return kept


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


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """The named arrays as an uncompressed .npz without pickle.

    Not by `np.savez`, which leaves headers to zipfile: Python 3.11.4 writes others than 3.11.2.
    """

    def save(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
                entry.create_system = 3  # Unix
                # Set beforehand, so that only an array of 2 GiB gets the long header. No array's
                # own header has 4,096 bytes.
                entry.file_size = array.nbytes + 4096
                with archive.open(entry, "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)

    files.write(path, save)
