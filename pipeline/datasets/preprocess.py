"""Stage preprocess: normalized images and one-hot labels in three splits."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm import tqdm

from pipeline.core import files, paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.datasets import cifar10, image_folder, image_loading, splitting
from pipeline.datasets.config import Cifar10Config, ImageFolderConfig, read_dataset_config
from pipeline.datasets.npz import write_npz

Subset: TypeAlias = tuple[np.ndarray, np.ndarray]  # images uint8 (N, S, S, 3) and labels (N,)
Dataset: TypeAlias = tuple[tuple[str, ...], Mapping[str, Subset]]  # class names, and by split


def load_cifar10(config: Cifar10Config) -> Dataset:
    """CIFAR-10 from its official files, which fetch has verified."""
    (images, labels), test = (
        cifar10.decode(b"".join(Path(config.folder, name).read_bytes() for name in names))
        for names in (cifar10.TRAIN_FILES, cifar10.TEST_FILES)
    )
    train, validation = splitting.stratified_split(labels, config)
    subsets = {
        "train": (images[train], labels[train]),
        "validation": (images[validation], labels[validation]),
        "test": test,
    }
    return cifar10.CLASSES, subsets


def load_image_folder(config: ImageFolderConfig) -> Dataset:
    """The images of a folder.

    Raises PipelineError with a line for each image that cannot be read, and for each class of which
    a split has no image.
    """
    folder = Path(config.folder)
    images_by_split = image_folder.list_images(folder)
    names = tuple(images_by_split["train"])
    rows = [
        (split, label, path)
        for split, by_class in images_by_split.items()
        for label, name in enumerate(names)
        for path in by_class[name]
    ]
    others = sum(not path.is_dir() for path in folder.rglob("*")) - len(rows)
    print(f"preprocess: {len(rows):,} photos, {others:,} other files passed over", flush=True)
    labels = np.array([label for _, label, _ in rows])
    images, hashes = _read_images([path for *_, path in rows], config)
    assigned = splitting.assign_splits([split for split, *_ in rows], hashes, config)
    if config.duplicates == "drop":
        assigned = splitting.drop_duplicates(assigned, images)
        count = np.count_nonzero(assigned == splitting.DROPPED)
        print(f"preprocess: {count:,} duplicates of images in other splits dropped")
    splitting.require_every_class(assigned, labels, names, config.folder)
    subsets = {
        name: (images[assigned == split], labels[assigned == split])
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
    config = read_dataset_config(read_params())
    names, subsets = LOADERS[config.kind](config)
    for name in splits.NAMES:
        images, labels = subsets[name]
        write_npz(
            paths.split(name),
            images=images / np.float32(255),
            labels=np.eye(len(names), dtype=np.float32)[labels],
        )
    files.write_text(paths.CLASS_NAMES, "\n".join(names))


def _read_images(paths: Sequence[Path], config: ImageFolderConfig) -> tuple[np.ndarray, np.ndarray]:
    """The images uint8 (N, S, S, 3) and their splitting.hash_to_unit, float64 (N,)."""
    images = np.empty((len(paths), config.side, config.side, 3), np.uint8)
    hashes = np.empty(len(paths))

    def read_one(index: int) -> str | None:
        """The error, so that all can be listed."""
        try:
            pixels, content = image_loading.load_with_content(
                paths[index], side=config.side, crop_mode=config.crop_mode
            )
        except PipelineError as error:
            return str(error)
        images[index] = np.rint(pixels * 255)
        hashes[index] = splitting.hash_to_unit(content, config.seed)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(read_one, range(len(paths)))
        # On a terminal only.
        bar = tqdm(results, desc="preprocess", total=len(paths), unit="image", disable=None)
        problems = [problem for problem in bar if problem is not None]
    if problems:
        raise PipelineError("\n".join(problems))
    return images, hashes
