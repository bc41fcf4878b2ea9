"""Augmentation: what it does to pixels, and that seed and number alone decide it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pipeline.train import augment as augmentation
from pipeline.train.augment import Draw, augment

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES = np.random.default_rng(1).random((64, 32, 32, 3), np.float32)
DRAW = Draw(
    seed=np.array([3, 4], np.int32),
    first=np.linspace(0, 1, 64, endpoint=False, dtype=np.float32),
    epoch=np.float32(1),
)


def augmented(images: np.ndarray, amounts: Mapping[str, float], draw: Draw = DRAW) -> np.ndarray:
    return np.asarray(augment(images, amounts, draw))


def test_flips_mirror_about_half_of_the_images_and_leave_the_rest() -> None:
    cases = {"flip_horizontal": IMAGES[:, :, ::-1], "flip_vertical": IMAGES[:, ::-1]}
    for name, mirrored in cases.items():
        changed = augmented(IMAGES, {name: 0.5})
        flipped = (changed == mirrored).all(axis=(1, 2, 3))
        kept = (changed == IMAGES).all(axis=(1, 2, 3))
        assert (flipped | kept).all()
        assert 16 < flipped.sum() < 48  # 64 fair draws: outside once in 30,000 seeds


def test_flips_have_the_probability_that_is_given() -> None:
    assert np.array_equal(augmented(IMAGES, {"flip_horizontal": 1.0}), IMAGES[:, :, ::-1])
    assert np.array_equal(augmented(IMAGES, {"flip_vertical": 1.0}), IMAGES[:, ::-1])
    for name in ("flip_horizontal", "flip_vertical"):
        changed = (augmented(IMAGES, {name: 0.1}) != IMAGES).any(axis=(1, 2, 3))
        assert 0 < changed.sum() < 20


def test_flips_draw_independently_of_each_other() -> None:
    both = augmented(IMAGES, {"flip_horizontal": 0.5, "flip_vertical": 0.5})
    turned = (both == IMAGES[:, ::-1, ::-1]).all(axis=(1, 2, 3)).sum()
    assert 4 < turned < 32  # a quarter of 64 if independent, half if not


def dots() -> np.ndarray:
    """Black images with a dot 10 pixels right of the centre."""
    dot = np.zeros((256, 33, 33, 1), np.float32)
    dot[:, 15:18, 25:28] = 1
    return dot


def test_rotation_turns_about_the_centre_by_up_to_its_share_of_a_turn() -> None:
    turned = augmented(dots(), {"rotation": 0.1})[..., 0]
    rows, columns = np.mgrid[:33, :33] - 16
    mass = turned.sum(axis=(1, 2))
    x, y = ((turned * axis).sum(axis=(1, 2)) / mass for axis in (columns, rows))
    turns = np.arctan2(y, x) / (2 * np.pi)
    np.testing.assert_allclose(np.hypot(x, y), 10, atol=0.3)
    assert abs(turns).max() <= 0.102
    assert turns.min() < -0.08
    assert turns.max() > 0.08


def test_zoom_scales_both_ways_about_the_centre() -> None:
    scaled = augmented(dots(), {"zoom": 0.1})[..., 0]
    columns = np.arange(33) - 16
    distance = (scaled.sum(axis=1) * columns).sum(axis=1) / scaled.sum(axis=(1, 2))
    assert 8.8 < distance.min() < 9.4  # 10 / 1.1
    assert 10.6 < distance.max() < 11.4  # 10 / 0.9


def test_rotation_and_zoom_draw_independently_of_each_other() -> None:
    changed = augmented(dots(), {"rotation": 0.1, "zoom": 0.1})[..., 0]
    rows, columns = np.mgrid[:33, :33] - 16
    mass = changed.sum(axis=(1, 2))
    x, y = ((changed * axis).sum(axis=(1, 2)) / mass for axis in (columns, rows))
    assert abs(np.corrcoef(np.arctan2(y, x), np.hypot(x, y))[0, 1]) < 0.25


def test_turned_images_are_blends_of_pixels_with_reflected_edges() -> None:
    white = np.ones((64, 32, 32, 3), np.float32)
    np.testing.assert_allclose(augmented(white, {"rotation": 0.3, "zoom": 0.3}), 1, atol=1e-5)
    halves = white.copy()
    halves[:, :, :16] = 0
    smaller = augmented(halves, {"zoom": 0.3})
    np.testing.assert_allclose(smaller[:, :, 0], 0, atol=1e-5)
    np.testing.assert_allclose(smaller[:, :, -1], 1, atol=1e-5)
    turned = augmented(halves, {"rotation": 0.1})
    assert ((turned > 0.2) & (turned < 0.8)).any(axis=(1, 2, 3)).mean() > 0.9


def test_flip_evenly_mirrors_its_share_of_the_epochs() -> None:
    for share, period in ((0.5, 2), (0.25, 4)):
        mirrored = []
        for epoch in range(8):
            changed = augmented(
                IMAGES, {"flip_evenly": share}, DRAW._replace(epoch=np.float32(epoch))
            )
            turned = (changed == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
            assert (turned | (changed == IMAGES).all(axis=(1, 2, 3))).all()
            mirrored.append(turned)
        for start in range(8 - period):
            assert (np.sum(mirrored[start : start + period], axis=0) == 1).all()


def test_shift_moves_by_whole_pixels_and_reflects_the_edges() -> None:
    shifted = augmented(IMAGES, {"shift": 0.0625})  # 2 of 32 pixels
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


def test_changes_go_together_on_batches_of_any_number_in_a_graph() -> None:
    """Where a change that loses the images' side fails the next one."""
    import tensorflow as tf

    amounts = dict.fromkeys(augmentation.KEYS, 0.1)
    shapes = [tf.TensorSpec((None, 32, 32, 3)), tf.TensorSpec((None,))]

    @tf.function(input_signature=shapes)  # type: ignore[untyped-decorator]
    def in_graph(images: Any, first: Any) -> Any:
        return augment(images, amounts, DRAW._replace(first=first))

    found = np.asarray(in_graph(IMAGES[:7], DRAW.first[:7]))
    few = DRAW._replace(first=DRAW.first[:7])
    np.testing.assert_allclose(found, augmented(IMAGES[:7], amounts, few), atol=1e-5)


def test_no_amounts_change_nothing() -> None:
    assert np.array_equal(augmented(IMAGES, {}), IMAGES)


def test_order_of_keys_does_not_matter() -> None:
    amounts = dict.fromkeys(augmentation.KEYS, 0.1)
    backwards = dict(reversed(amounts.items()))
    assert np.array_equal(augmented(IMAGES, amounts), augmented(IMAGES, backwards))


def test_every_key_is_applied() -> None:
    for name in augmentation.KEYS:
        assert not np.array_equal(augmented(IMAGES, {name: 0.5}), IMAGES), name


def test_other_seeds_draw_otherwise() -> None:
    other = DRAW._replace(seed=np.array([3, 5], np.int32))
    for name in ("flip_horizontal", "flip_vertical", "rotation", "zoom", "shift"):
        one = augmented(IMAGES, {name: 0.5})
        assert np.array_equal(one, augmented(IMAGES, {name: 0.5}))
        assert not np.array_equal(one, augmented(IMAGES, {name: 0.5}, other)), name


# In the order in which they are applied. Of these numbers the committed trainings have their
# draws: none may ever change.
NUMBERS = {
    "flip_horizontal": 0,
    "flip_vertical": 1,
    "rotate_and_zoom": 2,
    "flip_evenly": 4,
    "shift": 3,
}


def test_changes_come_in_one_order_and_each_draws_by_its_own_number() -> None:
    import tensorflow as tf

    assert {change.__name__: n for n, change in augmentation.CHANGES.items()} == NUMBERS
    amounts = dict.fromkeys(augmentation.KEYS, 0.4)
    expected: Any = IMAGES
    for name, number in NUMBERS.items():
        change = getattr(augmentation, name)
        seed = tf.random.experimental.stateless_fold_in(DRAW.seed, number)
        own = dict.fromkeys(augmentation.keys(change), 0.4)
        expected = change(expected, DRAW._replace(seed=seed), **own)
    assert np.array_equal(augmented(IMAGES, amounts), expected)


@pytest.mark.parametrize("first", [True, False])
def test_a_new_change_alters_no_other_s_draws(monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    def brighten(images: Any, draw: Draw, *, brighten: float) -> Any:
        return images + brighten

    amounts = {"flip_horizontal": 0.5, "rotation": 0.1, "shift": 0.1}
    before = augmented(IMAGES, amounts)
    new, old = {5: brighten}, augmentation.CHANGES
    monkeypatch.setattr(augmentation, "CHANGES", new | old if first else old | new)
    assert np.array_equal(augmented(IMAGES, amounts), before)
    assert np.array_equal(augmented(IMAGES, amounts | {"brighten": 0.0}), before)
    brighter = augmented(IMAGES, amounts | {"brighten": 0.5})
    assert np.allclose(brighter, before + 0.5, atol=1e-5)
