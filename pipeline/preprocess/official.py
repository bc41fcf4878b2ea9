"""CIFAR-10's official batches, and which of the training images are held out for validation."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data import cifar10
from pipeline.data.settings import Cifar10
from pipeline.preprocess.parts import Part, Parts


def parts(settings: Cifar10) -> Parts:
    """The parts of CIFAR-10; PipelineError when a file is missing or no batch."""
    images, labels = _read(Path(settings.folder), cifar10.TRAIN_FILES)
    test_images, test_labels = _read(Path(settings.folder), cifar10.TEST_FILES)
    train, validation = hold_out(labels, settings)
    return Parts(
        cifar10.CLASSES,
        {
            "train": Part(images, labels, train),
            "validation": Part(images, labels, validation),
            "test": Part(test_images, test_labels, np.arange(len(test_labels))),
        },
    )


def hold_out(labels: np.ndarray, settings: Cifar10) -> tuple[np.ndarray, np.ndarray]:
    """Indices int64 into `labels` (N,), uint8 class indices, for train and for validation.

    Every class gets an equal share of both, drawn without replacement. Each class is shuffled
    with the seed, validation takes from the front and train what follows: another
    `train_images` keeps the validation images, and more training images include the fewer.
    Both lists ascend, so the splits keep the order of the official files (training shuffles
    anyway). Raises PipelineError when a class has too few images.
    """
    classes = len(cifar10.CLASSES)
    smallest = int(np.bincount(labels, minlength=classes).min())
    validation, train = settings.validation_images // classes, settings.train_images // classes
    for key, wanted, available, beside in (
        ("validation_images", validation, max(smallest - 1, 0), "to leave some for training"),
        (
            "train_images",
            train,
            smallest - validation,
            f"beside {settings.validation_images} for validation",
        ),
    ):
        if wanted > available:
            raise PipelineError(
                f"{params_file.PARAMS_FILE}: dataset.{key}: expected at most "
                f"{available * classes} {beside} (the smallest class has {smallest} images), "
                f"found {wanted * classes}; lower it"
            )
    generator = np.random.default_rng(settings.seed)
    shuffled = [generator.permutation(np.flatnonzero(labels == c)) for c in range(classes)]
    return (
        np.sort(np.concatenate([own[validation : validation + train] for own in shuffled])),
        np.sort(np.concatenate([own[:validation] for own in shuffled])),
    )


def _read(folder: Path, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """The batches `names` of `folder`, one after the other, as `cifar10.decode` gives them."""
    batches = []
    for name in names:
        try:
            batches.append((folder / name).read_bytes())
        except OSError as error:
            raise PipelineError(
                f"cannot read {folder / name}: {error.strerror}; run `dvc repro fetch` to get it"
            ) from error
    return cifar10.decode(b"".join(batches), str(folder))
