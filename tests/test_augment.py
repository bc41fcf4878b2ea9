"""Augmentation: what it does to pixels, and that seed and position alone decide it."""

import numpy as np
import pytest

from pipeline.settings import Augmentation

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES = np.random.default_rng(1).random((64, 32, 32, 3), np.float32)
SEED = [3, 4]
TURNS = np.zeros(64, np.float32)  # for flip_evenly alone


def test_flips_mirror_about_half_of_the_images_and_leave_the_rest() -> None:
    from pipeline.augment import augment

    cases: list[tuple[Augmentation, np.ndarray]] = [
        ("flip_horizontal", IMAGES[:, :, ::-1]),
        ("flip_vertical", IMAGES[:, ::-1]),
    ]
    for name, mirrored in cases:
        changed = augment(IMAGES, {name: 0.5}, SEED, TURNS).numpy()
        flipped = (changed == mirrored).all(axis=(1, 2, 3))
        kept = (changed == IMAGES).all(axis=(1, 2, 3))
        assert (flipped | kept).all()
        assert 16 < flipped.sum() < 48  # 64 fair draws: outside once in 30,000 seeds


def test_probability_one_flips_all() -> None:
    from pipeline.augment import augment

    np.testing.assert_array_equal(
        augment(IMAGES, {"flip_horizontal": 1.0}, SEED, TURNS), IMAGES[:, :, ::-1]
    )


def test_flips_draw_independently_of_each_other() -> None:
    from pipeline.augment import augment

    both = augment(IMAGES, {"flip_horizontal": 0.5, "flip_vertical": 0.5}, SEED, TURNS).numpy()
    turned = (both == IMAGES[:, ::-1, ::-1]).all(axis=(1, 2, 3)).sum()
    assert 4 < turned < 32  # a quarter of 64 if independent, half if not


def test_rotation_turns_about_the_centre_by_up_to_its_share_of_a_turn() -> None:
    from pipeline.augment import augment

    # A dot 10 pixels right of the centre shows the angle.
    dot = np.zeros((256, 33, 33, 1), np.float32)
    dot[:, 15:18, 25:28] = 1
    turned = augment(dot, {"rotation": 0.1}, SEED, TURNS).numpy()[..., 0]
    rows, columns = np.mgrid[:33, :33] - 16
    mass = turned.sum(axis=(1, 2))
    x, y = ((turned * axis).sum(axis=(1, 2)) / mass for axis in (columns, rows))
    turns = np.arctan2(y, x) / (2 * np.pi)
    np.testing.assert_allclose(np.hypot(x, y), 10, atol=0.3)
    assert abs(turns).max() <= 0.102
    assert turns.min() < -0.08
    assert turns.max() > 0.08


def test_zoom_scales_both_ways_about_the_centre() -> None:
    from pipeline.augment import augment

    dot = np.zeros((256, 33, 33, 1), np.float32)
    dot[:, 15:18, 25:28] = 1
    scaled = augment(dot, {"zoom": 0.1}, SEED, TURNS).numpy()[..., 0]
    columns = np.arange(33) - 16
    distance = (scaled.sum(axis=1) * columns).sum(axis=1) / scaled.sum(axis=(1, 2))
    assert 8.8 < distance.min() < 9.4  # 10 / 1.1
    assert 10.6 < distance.max() < 11.4  # 10 / 0.9


def test_no_amounts_change_nothing() -> None:
    from pipeline.augment import augment

    np.testing.assert_array_equal(augment(IMAGES, {}, SEED, TURNS), IMAGES)


def test_order_of_keys_does_not_matter() -> None:
    from pipeline.augment import augment

    amounts: dict[Augmentation, float] = {
        "flip_horizontal": 0.5,
        "flip_vertical": 0.5,
        "rotation": 0.1,
        "zoom": 0.1,
    }
    backwards = dict(reversed(amounts.items()))
    np.testing.assert_array_equal(
        augment(IMAGES, amounts, SEED, TURNS), augment(IMAGES, backwards, SEED, TURNS)
    )


def test_every_augmentation_of_the_schema_is_applied() -> None:
    from typing import get_args

    from pipeline import settings
    from pipeline.augment import augment

    for name in get_args(settings.Augmentation):
        assert not np.array_equal(augment(IMAGES, {name: 0.5}, SEED, TURNS), IMAGES), name


def test_epoch_holds_every_image_once_in_an_order_of_its_own() -> None:
    from pipeline.batches import EpochClock, training_batches

    images = np.broadcast_to(np.arange(70, dtype=np.float32)[:, None, None, None], (70, 32, 32, 3))
    labels = np.eye(70, dtype=np.float32)
    clock = EpochClock()
    batches = training_batches(
        images, labels, batch_size=32, amounts={}, sides=(32, 32), seed=1, clock=clock
    )

    def order(epoch: int) -> list[int]:
        clock.on_epoch_begin(epoch)
        seen = [(batch[:, 0, 0, 0].numpy(), chosen.numpy()) for batch, chosen in batches]
        assert [len(batch) for batch, _ in seen] == [32, 32, 6]
        for batch, chosen in seen:
            np.testing.assert_array_equal(batch, chosen.argmax(axis=1))
        return [int(number) for batch, _ in seen for number in batch]

    assert sorted(order(0)) == list(range(70))
    assert order(0) == order(0)
    assert order(0) != order(1)


def test_validation_batches_hold_every_image_in_order() -> None:
    from pipeline.batches import validation_batches

    images = np.random.default_rng(3).random((70, 32, 32, 3), np.float32)
    labels = np.eye(70, dtype=np.float32)
    batches = validation_batches(images, labels, 32)
    assert int(batches.cardinality()) == 3
    shown, chosen = zip(*batches.as_numpy_iterator(), strict=True)
    assert [len(batch) for batch in shown] == [32, 32, 6]
    np.testing.assert_array_equal(np.concatenate(shown), images)
    np.testing.assert_array_equal(np.concatenate(chosen), labels)


def test_an_epoch_ends_without_waiting_for_a_tuner() -> None:
    from pipeline.batches import EpochClock, training_batches, validation_batches

    labels = np.ones((len(IMAGES), 10), np.float32)
    to_train = training_batches(
        IMAGES, labels, batch_size=4, amounts={}, sides=(32,), seed=1, clock=EpochClock()
    )
    for batches in (to_train, validation_batches(IMAGES, labels, 4)):
        assert batches.options().autotune.enabled is False


def test_batches_are_drawn_differently() -> None:
    from pipeline.batches import EpochClock, training_batches

    same = np.repeat(IMAGES[:1], 64, axis=0)
    clock = EpochClock()
    batches = training_batches(
        same,
        np.ones((64, 10), np.float32),
        batch_size=32,
        amounts={"rotation": 0.1},
        sides=(32, 32),
        seed=1,
        clock=clock,
    )
    first, second = (batch.numpy() for batch, _ in batches)
    clock.on_epoch_begin(1)
    later, _ = (batch.numpy() for batch, _ in batches)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, later)


def test_flip_evenly_mirrors_every_image_in_every_second_epoch() -> None:
    from pipeline.batches import EpochClock, training_batches

    images = np.random.default_rng(2).random((200, 32, 32, 3), np.float32)
    clock = EpochClock()
    batches = training_batches(
        images,
        np.eye(200, dtype=np.float32),  # which image it is
        batch_size=64,
        amounts={"flip_evenly": 0.5},
        sides=(32,) * 4,
        seed=1,
        clock=clock,
    )

    def mirrored(epoch: int) -> np.ndarray:
        clock.on_epoch_begin(epoch)
        shown = np.empty_like(images)
        for batch, one_hot in batches:
            shown[one_hot.numpy().argmax(axis=1)] = batch
        turned = (shown == images[:, :, ::-1]).all(axis=(1, 2, 3))
        assert (turned | (shown == images).all(axis=(1, 2, 3))).all()
        return turned

    first, second, third, fourth = map(mirrored, range(4))
    assert 70 < first.sum() < 130  # 200 fair draws: outside once in 40,000 seeds
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)
    np.testing.assert_array_equal(fourth, ~first)


def test_shift_moves_by_whole_pixels_and_reflects_the_edges() -> None:
    from pipeline.augment import augment

    shifted = augment(IMAGES, {"shift": 0.0625}, SEED, TURNS).numpy()  # 2 of 32 pixels
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    moves = set()
    for image, moved in zip(padded, shifted, strict=True):
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if np.array_equal(image[row : row + 32, column : column + 32], moved)
        ]
        assert len(found) == 1
        moves.update(found)
    # 64 draws of 25 moves leave out no row, column or corner at large.
    assert {row for row, _ in moves} == {column for _, column in moves} == set(range(5))
    assert len(moves) > 15


def test_batches_come_in_the_sides_of_their_epochs() -> None:
    from pipeline.batches import EpochClock, training_batches

    # In flat halves, scaling keeps both values and the mean of all.
    halves = np.zeros((70, 32, 32, 3), np.float32)
    halves[:, :, 16:] = 1
    clock = EpochClock()
    batches = training_batches(
        halves,
        np.ones((70, 10), np.float32),
        batch_size=32,
        amounts={},
        sides=(16, 24, 32),
        seed=1,
        clock=clock,
    )
    for epoch, side in enumerate((16, 24, 32)):
        clock.on_epoch_begin(epoch)
        shapes = []
        for batch, _ in batches:
            shapes.append(batch.shape)
            np.testing.assert_allclose(batch.numpy().mean(axis=(1, 2, 3)), 0.5, atol=1e-5)
            np.testing.assert_allclose(batch[:, :, : side // 2 - 1], 0, atol=1e-6)
        assert shapes == [(count, side, side, 3) for count in (32, 32, 6)]
