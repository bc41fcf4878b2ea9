"""Batches: every image once an epoch, in an order and augmented as seed and epoch decide."""

import importlib
from collections.abc import Sequence
from typing import Any

import lazy
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES = np.random.default_rng(1).random((70, 32, 32, 3), np.float32)
TRANSLATION = {"kind": "airbench", "alternating_flip": 0.0, "translation": 0.0625}
FLIP = {"kind": "airbench", "alternating_flip": 0.25, "translation": 0.0}


class Epochs:
    """The batches of 32 of `images`, epoch by epoch; their labels are the images' numbers."""

    def __init__(
        self,
        images: np.ndarray = IMAGES,
        augmentation: dict[str, Any] | None = None,
        *,
        image_sizes: Sequence[int] = (32,) * 4,
        seed: int = 1,
    ) -> None:
        settings = augmentation or {"kind": "none"}
        file = importlib.import_module(f"pipeline.augmentations.{settings['kind']}")
        self._counter = lazy.input_pipeline.EpochCounter()
        self.dataset = lazy.input_pipeline.training_batches(
            images,
            np.eye(len(images), dtype=np.float32),
            batch_size=32,
            augmentation=file.Augmentation.model_validate(settings),
            image_sizes=image_sizes,
            seed=seed,
            counter=self._counter,
        )

    def batches(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        self._counter.on_epoch_begin(epoch)
        return list(self.dataset.as_numpy_iterator())

    def order(self, epoch: int) -> list[int]:
        return [int(number) for _, one_hot in self.batches(epoch) for number in one_hot.argmax(1)]

    def images(self, epoch: int) -> np.ndarray:
        """The images as trained on, in the order of those given."""
        augmented = np.concatenate([images for images, _ in self.batches(epoch)])
        return augmented[np.argsort(self.order(epoch))]


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    epochs = Epochs()
    np.testing.assert_array_equal(epochs.images(0), IMAGES)
    assert [len(images) for images, _ in epochs.batches(0)] == [32, 32, 6]
    first, second = epochs.order(0), epochs.order(1)
    assert sorted(first) == sorted(second) == list(range(70))
    assert first == epochs.order(0) != Epochs(seed=2).order(0)
    # By chance, one place or two hold the same image.
    assert sum(np.equal(first, np.arange(70))) < 10
    assert sum(np.equal(first, second)) < 10


def test_every_batch_of_every_epoch_and_seed_is_augmented_differently() -> None:
    equal_images = np.repeat(IMAGES[:1], 64, axis=0)
    epochs = Epochs(equal_images, TRANSLATION)
    (first, _), (second, _) = epochs.batches(0)
    (later, _), _ = epochs.batches(1)
    (other, _), _ = Epochs(equal_images, TRANSLATION, seed=2).batches(0)
    for different in (second, later, other):
        assert not np.array_equal(first, different)
    np.testing.assert_array_equal(first, epochs.batches(0)[0][0])


def test_alternating_flip_flips_every_image_once_a_period() -> None:
    images = np.random.default_rng(2).random((200, 32, 32, 3), np.float32)
    epochs, others = Epochs(images, FLIP), Epochs(images, FLIP, seed=2)
    mirrored = images[:, :, ::-1]
    flipped = [(epochs.images(epoch) == mirrored).all(axis=(1, 2, 3)) for epoch in range(4)]
    assert (np.sum(flipped, axis=0) == 1).all()
    assert [25 < epoch.sum() < 75 for epoch in flipped] == [True] * 4
    assert not np.array_equal(others.images(0), epochs.images(0))


def test_the_number_of_batches_is_known_and_nothing_is_autotuned() -> None:
    """Autotuning's thread sleeps, and every epoch's end would wait for it."""
    labels = np.eye(70, dtype=np.float32)
    validation = lazy.input_pipeline.validation_batches(IMAGES, labels, 32)
    for dataset in (validation, Epochs().dataset):
        assert int(dataset.cardinality()) == 3
        assert dataset.options().autotune.enabled is False


def test_augmented_images_are_resized_to_the_size_of_the_epoch() -> None:
    resized = Epochs(IMAGES, TRANSLATION, image_sizes=(16, 24, 32))
    full = Epochs(IMAGES, TRANSLATION)
    for epoch, size in enumerate((16, 24, 32)):
        expected = lazy.input_pipeline.resize(full.images(epoch), size)
        assert expected.shape == (70, size, size, 3)
        np.testing.assert_allclose(resized.images(epoch), expected, atol=1e-6)


def test_resize_averages_over_the_area_of_a_pixel() -> None:
    # The inner two of four columns are white: a sample in between would miss the others.
    stripes = np.zeros((1, 32, 32, 3), np.float32)
    stripes[:, :, 1::4] = stripes[:, :, 2::4] = 1
    inner = np.asarray(lazy.input_pipeline.resize(stripes, 8))[:, :, 1:-1]
    np.testing.assert_allclose(inner, 0.5, atol=0.13)
