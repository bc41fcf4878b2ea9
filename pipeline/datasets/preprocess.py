"""Stage preprocess: normalized images and one-hot labels in three splits."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from tqdm import tqdm

from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.datasets import cifar10, image_folder, image_loading, splitting
from pipeline.datasets.config import Cifar10Config, ImageFolderConfig, read_dataset_config

# About 3 MB of floats stay in a core's cache between indexing and division: 0.4 s for 45,000 images
# instead of 1.1 s.
CHUNK_VALUES = 256 * 32 * 32 * 3


class Subset(NamedTuple):
    """Images uint8 (N, S, S, 3) and labels (N,) of a split."""

    images: np.ndarray
    labels: np.ndarray


Dataset: TypeAlias = tuple[tuple[str, ...], Mapping[str, Subset]]  # class names, by split


def load_cifar10(config: Cifar10Config) -> Dataset:
    """CIFAR-10 from its official files; PipelineError when one is missing or damaged."""
    images, labels = _read_batches(Path(config.folder), cifar10.TRAIN_FILES)
    train, validation = splitting.stratified_split(labels, config)
    subsets = {
        "train": Subset(images[train], labels[train]),
        "validation": Subset(images[validation], labels[validation]),
        "test": Subset(*_read_batches(Path(config.folder), cifar10.TEST_FILES)),
    }
    return cifar10.CLASSES, subsets


def load_image_folder(config: ImageFolderConfig) -> Dataset:
    """The images of a folder.

    Raises PipelineError with a line for each image that cannot be read, and for each class of which
    a split has no image.
    """
    images_by_split = image_folder.list_images(Path(config.folder))
    description = image_folder.describe_folder(Path(config.folder), images_by_split)
    print(f"preprocess: {description}", flush=True)
    names = tuple(images_by_split["train"])
    rows = [
        (split, label, path)
        for split, by_class in images_by_split.items()
        for label, name in enumerate(names)
        for path in by_class[name]
    ]
    labels = np.array([label for _, label, _ in rows])
    images, hashes = _read_images([path for *_, path in rows], config)
    assigned = splitting.assign_splits([split for split, *_ in rows], hashes, config)
    if config.duplicates == "drop":
        assigned = splitting.drop_duplicates(assigned, images)
        count = np.count_nonzero(assigned == splitting.DROPPED)
        print(f"preprocess: {count:,} duplicates of images in other splits dropped")
    splitting.require_every_class(assigned, labels, names, config.folder)
    subsets = {
        name: Subset(images[assigned == split], labels[assigned == split])
        for split, name in enumerate(splits.NAMES)
    }
    return names, subsets


# By dataset.kind.
LOADERS: Mapping[str, Callable[[Any], Dataset]] = {
    "cifar10": load_cifar10,
    "photos": load_image_folder,
}


def main(arguments: list[str]) -> None:
    """Write data/processed/{train,validation,test}.npz and classes.txt."""
    if arguments:
        raise PipelineError("usage: python -m pipeline preprocess")
    config = read_dataset_config(params_file.read())
    names, subsets = LOADERS[config.kind](config)
    for name in splits.NAMES:
        one_hot = np.eye(len(names), dtype=np.float32)[subsets[name].labels]
        images = normalize(subsets[name].images)
        files.write_arrays(splits.path(name), images=images, labels=one_hot)
    classes.write(names)


def normalize(images: np.ndarray) -> files.Blocks:
    """Images uint8 (N, S, S, 3) as float32 in [0, 1], in chunks."""
    step = max(1, CHUNK_VALUES // images[0].size)
    chunks = (
        np.divide(np.ascontiguousarray(images[start : start + step]), np.float32(255))
        for start in range(0, len(images), step)
    )
    return files.Blocks(images.shape, np.dtype(np.float32), chunks)


def _read_batches(folder: Path, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of the official files `names`, concatenated."""
    batches = []
    for name in names:
        try:
            batches.append((folder / name).read_bytes())
        except OSError as error:
            raise PipelineError(
                f"cannot read {folder / name}: {error.strerror}; run `dvc repro fetch` to get it"
            ) from error
    return cifar10.decode(b"".join(batches), str(folder))


def _read_images(paths: Sequence[Path], config: ImageFolderConfig) -> tuple[np.ndarray, np.ndarray]:
    """The images uint8 (N, S, S, 3) and their splitting.hash_to_unit, float64 (N,)."""
    images = np.empty((len(paths), config.side, config.side, 3), np.uint8)
    hashes = np.empty(len(paths))

    def read_one(index: int) -> str | None:
        """The error, so that all can be listed."""
        path = paths[index]
        try:
            pixels = image_loading.load_image(path, side=config.side, crop_mode=config.framing)
        except PipelineError as error:
            return str(error)
        images[index] = np.rint(pixels * 255)
        hashes[index] = splitting.hash_to_unit(path.read_bytes(), config.seed)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(read_one, range(len(paths)))
        # On a terminal only.
        bar = tqdm(results, desc="preprocess", total=len(paths), unit="image", disable=None)
        problems = [problem for problem in bar if problem is not None]
    if problems:
        raise PipelineError("\n".join(problems))
    return images, hashes
