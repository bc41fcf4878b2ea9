"""Splits: by an image's content and the seed alone, or stratified for CIFAR-10."""

import numpy as np
import pytest
import synthetic

from pipeline.core import splits
from pipeline.datasets import splitting
from pipeline.datasets.config import Cifar10Config, ImageFolderConfig
from pipeline.datasets.splitting import DROPPED, TEST, TRAIN, VALIDATION

CONTENTS = [f"photo {number}".encode() for number in range(2000)]
LABELS = synthetic.make_images(500, seed=5)[1]


def folder_config(validation: float = 0.1, test: float = 0.2, seed: int = 1) -> ImageFolderConfig:
    return ImageFolderConfig(
        kind="photos",
        folder="photos",
        side=32,
        crop_mode="centre",
        validation_share=validation,
        test_share=test,
        seed=seed,
        duplicates="keep",
    )


def cifar10_config(train: int = 400, validation: int = 50) -> Cifar10Config:
    return Cifar10Config(
        kind="cifar10", folder="raw", train_images=train, validation_images=validation, seed=1
    )


def assigned(contents: list[bytes], config: ImageFolderConfig) -> np.ndarray:
    """The splits of `contents`, all of which are in a folder for training."""
    hashes = np.array([splitting.hash_to_unit(content, config.seed) for content in contents])
    return splitting.assign_splits(["train"] * len(contents), hashes, config)


def test_hashes_are_fixed() -> None:
    """Another hash would move everybody's training images to test."""
    assert splitting.hash_to_unit(b"photo", 1) == 0.5675607344684863
    assert splitting.hash_to_unit(b"photo", 2) == 0.4022838341347317
    assert splitting.hash_to_unit(b"2\nphoto", 1) != splitting.hash_to_unit(b"photo", 12)


@pytest.mark.parametrize(
    ("folders", "shares"),
    [
        (["train"], {TRAIN: 0.7, VALIDATION: 0.1, TEST: 0.2}),
        (["train", "test"], {TRAIN: 0.9, VALIDATION: 0.1}),
        (["train", "validation"], {TRAIN: 0.8, TEST: 0.2}),
        (["train", "validation", "test"], {TRAIN: 1.0}),
    ],
)
def test_splits_without_a_folder_get_their_share_of_train(
    folders: list[str], shares: dict[int, float]
) -> None:
    hashes = np.array([splitting.hash_to_unit(content, 1) for content in CONTENTS])
    folder_splits = ["train"] * len(CONTENTS) + folders[1:]
    found = splitting.assign_splits(
        folder_splits, np.append(hashes, np.zeros(len(folders) - 1)), folder_config()
    )
    for split in range(3):
        share = np.mean(found[: len(CONTENTS)] == split)
        assert share == pytest.approx(shares.get(split, 0), abs=0.03)
    assert found[len(CONTENTS) :].tolist() == [splits.NAMES.index(name) for name in folders[1:]]


@pytest.mark.parametrize(
    ("value", "split"),
    [(0.0, TEST), (0.249, TEST), (0.25, VALIDATION), (0.749, VALIDATION), (0.75, TRAIN)],
)
def test_shares_are_half_open_intervals(value: float, split: int) -> None:
    config = folder_config(validation=0.5, test=0.25)
    assert splitting.assign_splits(["train"], np.array([value]), config).tolist() == [split]


def test_seed_changes_the_splits_and_a_larger_validation_share_keeps_test() -> None:
    first, second = (assigned(CONTENTS, folder_config(seed=seed)) for seed in (1, 2))
    # Independent splits agree for 0.7² + 0.1² + 0.2² of the images.
    assert (first == second).mean() == pytest.approx(0.54, abs=0.05)
    larger = assigned(CONTENTS, folder_config(validation=0.3))
    assert ((first == TEST) == (larger == TEST)).all()
    assert (larger[first == VALIDATION] == VALIDATION).all()


def test_duplicates_stay_in_the_last_split_alone() -> None:
    distinct = np.zeros((5, 8, 8, 3), np.uint8)
    distinct[:, 7, 7, 2] = range(5)  # one level apart
    rows = [
        *((0, TRAIN, DROPPED), (0, VALIDATION, DROPPED), (0, TEST, TEST)),
        *((1, TRAIN, DROPPED), (1, VALIDATION, VALIDATION), (1, VALIDATION, VALIDATION)),
        *((2, TRAIN, DROPPED), (2, TRAIN, DROPPED), (2, TEST, TEST), (2, TEST, TEST)),
        *((3, TRAIN, TRAIN), (3, TRAIN, TRAIN), (4, TRAIN, TRAIN)),
    ]
    images, before, after = (np.array(column) for column in zip(*rows, strict=True))
    kept = splitting.drop_duplicates(before, distinct[images])
    assert kept.tolist() == after.tolist()
    assert before.tolist() == [row[1] for row in rows]


def test_stratified_split_is_even_disjoint_and_ascending() -> None:
    train, validation = splitting.stratified_split(LABELS, cifar10_config())
    assert np.bincount(LABELS[train]).tolist() == [40] * 10
    assert np.bincount(LABELS[validation]).tolist() == [5] * 10
    assert not set(train) & set(validation)
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    assert (validation.min() < 100, validation.max() >= 400) == (True, True)


def test_train_images_do_not_change_validation_and_are_nested() -> None:
    labels = np.concatenate([LABELS, np.zeros(70, np.uint8)])  # uneven classes
    few, validation = splitting.stratified_split(labels, cifar10_config(train=100))
    many, again = splitting.stratified_split(labels, cifar10_config(train=450))
    np.testing.assert_array_equal(validation, again)
    assert set(few) < set(many)
    assert np.bincount(labels[many]).tolist() == [45] * 10
