"""Batches: every image once an epoch, in an order and with changes that seed and epoch decide."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES = np.random.default_rng(1).random((70, 32, 32, 3), np.float32)
LABELS = np.eye(70, dtype=np.float32)  # which image it is
NOTHING: Mapping[str, float] = {}
Batches = list[tuple[np.ndarray, np.ndarray]]


class Epochs:
    """The batches of 32 of `images`, epoch by epoch; their labels say which image it is."""

    def __init__(
        self,
        images: np.ndarray = IMAGES,
        amounts: Mapping[str, float] = NOTHING,
        *,
        sides: Sequence[int] = (32,) * 4,
        seed: int = 1,
    ) -> None:
        from pipeline.train.batches import EpochClock, training_batches

        self._clock = EpochClock()
        self._batches = training_batches(
            images,
            np.eye(len(images), dtype=np.float32),
            batch_size=32,
            amounts=amounts,
            sides=sides,
            seed=seed,
            clock=self._clock,
        )

    def batches(self, epoch: int) -> Batches:
        self._clock.on_epoch_begin(epoch)
        return list(self._batches.as_numpy_iterator())

    def order(self, epoch: int) -> list[int]:
        return [int(number) for _, one_hot in self.batches(epoch) for number in one_hot.argmax(1)]

    def images(self, epoch: int) -> np.ndarray:
        """The images as shown, in the order of those given."""
        shown = np.concatenate([images for images, _ in self.batches(epoch)])
        return shown[np.argsort(self.order(epoch))]


def test_epoch_holds_every_image_once_in_an_order_of_its_own() -> None:
    epochs = Epochs()
    for images, one_hot in epochs.batches(0):
        np.testing.assert_array_equal(images, IMAGES[one_hot.argmax(axis=1)])
    assert [len(images) for images, _ in epochs.batches(0)] == [32, 32, 6]
    first, second = epochs.order(0), epochs.order(1)
    assert sorted(first) == sorted(second) == list(range(70))
    assert first == epochs.order(0)
    # By chance, one place or two hold what they would without shuffling.
    assert sum(np.equal(first, np.arange(70))) < 10
    assert sum(np.equal(first, second)) < 10


def test_seed_decides_order_and_changes() -> None:
    assert Epochs(seed=2).order(0) == Epochs(seed=2).order(0) != Epochs(seed=1).order(0)
    for name in ("shift", "flip_evenly"):
        one, other = (Epochs(IMAGES, {name: 0.5}, seed=seed).images(0) for seed in (1, 2))
        assert not np.array_equal(one, other), name


def test_number_of_batches_is_known() -> None:
    from pipeline.train.batches import EpochClock, training_batches

    for count, expected in ((64, 2), (65, 3)):
        batches = training_batches(
            IMAGES[:count],
            LABELS[:count],
            batch_size=32,
            amounts={},
            sides=(32,),
            seed=1,
            clock=EpochClock(),
        )
        assert int(batches.cardinality()) == expected


def test_validation_batches_hold_every_image_in_order() -> None:
    from pipeline.train.batches import validation_batches

    batches = validation_batches(IMAGES, LABELS, 32)
    assert int(batches.cardinality()) == 3
    shown, chosen = zip(*batches.as_numpy_iterator(), strict=True)
    assert [len(batch) for batch in shown] == [32, 32, 6]
    np.testing.assert_array_equal(np.concatenate(shown), IMAGES)
    np.testing.assert_array_equal(np.concatenate(chosen), LABELS)


def test_an_epoch_ends_without_waiting_for_a_tuner() -> None:
    from pipeline.train.batches import EpochClock, training_batches, validation_batches

    to_train = training_batches(
        IMAGES, LABELS, batch_size=4, amounts={}, sides=(32,), seed=1, clock=EpochClock()
    )
    for batches in (to_train, validation_batches(IMAGES, LABELS, 4)):
        assert batches.options().autotune.enabled is False


def test_batches_are_drawn_differently() -> None:
    epochs = Epochs(np.repeat(IMAGES[:1], 64, axis=0), {"rotation": 0.1})
    (first, _), (second, _) = epochs.batches(0)
    (later, _), _ = epochs.batches(1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, later)


def test_flip_evenly_mirrors_every_image_in_every_second_epoch() -> None:
    images = np.random.default_rng(2).random((200, 32, 32, 3), np.float32)
    epochs = Epochs(images, {"flip_evenly": 0.5})

    def mirrored(epoch: int) -> np.ndarray:
        shown = epochs.images(epoch)
        turned: np.ndarray = (shown == images[:, :, ::-1]).all(axis=(1, 2, 3))
        assert (turned | (shown == images).all(axis=(1, 2, 3))).all()
        return turned

    first, second, third, fourth = map(mirrored, range(4))
    assert 70 < first.sum() < 130  # 200 fair draws: outside once in 40,000 seeds
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)
    np.testing.assert_array_equal(fourth, ~first)


def test_batches_come_in_the_sides_of_their_epochs() -> None:
    # In flat halves, scaling keeps both values and the mean of all.
    halves = np.zeros((70, 32, 32, 3), np.float32)
    halves[:, :, 16:] = 1
    epochs = Epochs(halves, sides=(16, 24, 32))
    for epoch, side in enumerate((16, 24, 32)):
        shapes = []
        for images, _ in epochs.batches(epoch):
            shapes.append(images.shape)
            np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0.5, atol=1e-5)
            np.testing.assert_allclose(images[:, :, : side // 2 - 1], 0, atol=1e-6)
        assert shapes == [(count, side, side, 3) for count in (32, 32, 6)]


def test_small_images_are_the_changed_ones_scaled() -> None:
    from pipeline.train.batches import scaled

    amounts = {"flip_horizontal": 0.5, "shift": 0.0625}  # 2 of 32 pixels
    whole, small = (Epochs(IMAGES, amounts, sides=(side,)).images(0) for side in (32, 16))
    np.testing.assert_allclose(small, scaled(whole, 16), atol=1e-6)


def test_a_scaled_pixel_is_the_mean_of_the_area_it_covers() -> None:
    from pipeline.train.batches import scaled

    # The inner two of four columns are white: a sample in between would see nothing else.
    stripes = np.zeros((1, 32, 32, 3), np.float32)
    stripes[:, :, 1::4] = stripes[:, :, 2::4] = 1
    inner = np.asarray(scaled(stripes, 8))[:, :, 1:-1]
    assert inner.shape == (1, 8, 6, 3)
    np.testing.assert_allclose(inner, 0.5, atol=0.13)
