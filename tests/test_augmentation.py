"""Augmentation: the pixels that each transform gives, and that seed and amounts alone decide."""

import importlib
from typing import Any

import lazy
import numpy as np
import pytest

from pipeline.training import augmentation
from pipeline.training.augmentation import RandomState
from pipeline.training.variant import list_files

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES = np.random.default_rng(1).random((64, 32, 32, 3), np.float32)
STATE = RandomState(
    seed=np.array([3, 4], np.int32),
    image_uniform=np.linspace(0, 1, 64, endpoint=False, dtype=np.float32),
    epoch=np.float32(1),
)
# The transforms of each file of pipeline/augmentations.
AMOUNTS = {
    "none": (),
    "standard": ("flip_horizontal", "flip_vertical", "rotation", "zoom"),
    "airbench": ("alternating_flip", "translation"),
    "photos": ("rotation", "zoom", "alternating_flip", "translation"),
}


def augment(kind: str, images: Any, state: Any = STATE, **amounts: float) -> Any:
    """`images` by the file `kind`, amounts that are not given being 0."""
    file = importlib.import_module(f"pipeline.augmentations.{kind}")
    transform = file.Augmentation(kind=kind, **(dict.fromkeys(AMOUNTS[kind], 0.0) | amounts))
    return transform(images, state)


def standard(images: np.ndarray, **amounts: float) -> np.ndarray:
    return np.asarray(augment("standard", images, **amounts))


@pytest.mark.parametrize("kind", AMOUNTS)
def test_amounts_of_zero_change_nothing(kind: str) -> None:
    assert list_files("augmentations") == sorted(AMOUNTS)
    assert np.array_equal(augment(kind, IMAGES), IMAGES)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in AMOUNTS.items() for name in names]
)
def test_every_amount_changes_images_by_the_seed(kind: str, name: str) -> None:
    changed = augment(kind, IMAGES, **{name: 0.5})
    assert not np.array_equal(changed, IMAGES)
    assert np.array_equal(augment(kind, IMAGES, **{name: 0.5}), changed)
    other = augment(kind, IMAGES, STATE._replace(seed=np.array([3, 5], np.int32)), **{name: 0.5})
    # Alternating flips follow from image_uniform and the epoch.
    assert np.array_equal(other, changed) == (name == "alternating_flip")


def test_flips_have_their_probabilities_and_are_independent() -> None:
    def share(images: np.ndarray, others: np.ndarray) -> float:
        return float((images == others).all(axis=(1, 2, 3)).mean())

    mirrored, upside_down = IMAGES[:, :, ::-1], IMAGES[:, ::-1]
    for name, flipped in (("flip_horizontal", mirrored), ("flip_vertical", upside_down)):
        assert share(standard(IMAGES, **{name: 1.0}), flipped) == 1
        changed = standard(IMAGES, **{name: 0.25})
        assert share(changed, flipped) + share(changed, IMAGES) == 1
        assert share(changed, flipped) == pytest.approx(0.25, abs=0.2)  # 64 draws
    both = standard(IMAGES, flip_horizontal=0.5, flip_vertical=0.5)
    assert share(both, mirrored[:, ::-1]) == pytest.approx(0.25, abs=0.2)  # or else a half


def polar(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The angle in turns and the distance from the centre of the mass of each image."""
    rows, columns = np.mgrid[:33, :33] - 16
    mass = images[..., 0]
    x, y = ((mass * axis).sum(axis=(1, 2)) / mass.sum(axis=(1, 2)) for axis in (columns, rows))
    return np.arctan2(y, x) / (2 * np.pi), np.hypot(x, y)


def test_rotation_and_zoom_are_about_the_centre_and_independent() -> None:
    dot = np.zeros((256, 33, 33, 1), np.float32)
    dot[:, 15:18, 25:28] = 1  # 10 pixels right of the centre
    angle, distance = polar(standard(dot, rotation=0.1))
    np.testing.assert_allclose(distance, 10, atol=0.3)
    np.testing.assert_allclose((angle.min(), angle.max()), (-0.1, 0.1), atol=0.02)
    angle, distance = polar(standard(dot, zoom=0.1))
    np.testing.assert_allclose(angle, 0, atol=1e-3)
    np.testing.assert_allclose((distance.min(), distance.max()), (10 / 1.1, 10 / 0.9), atol=0.4)
    angle, distance = polar(standard(dot, rotation=0.1, zoom=0.1))
    assert abs(np.corrcoef(angle, distance)[0, 1]) < 0.25


def test_rotation_and_zoom_interpolate_and_reflect_the_edges() -> None:
    halves = np.ones((64, 32, 32, 3), np.float32)
    np.testing.assert_allclose(standard(halves, rotation=0.3, zoom=0.3), 1, atol=1e-5)
    halves[:, :, :16] = 0
    rotated = standard(halves, rotation=0.1)
    assert ((rotated > 0.2) & (rotated < 0.8)).any(axis=(1, 2, 3)).mean() > 0.9


def test_translation_is_by_whole_pixels_and_reflects_the_edges() -> None:
    translated = np.asarray(augment("airbench", IMAGES, translation=0.0625))  # 2 of 32 pixels
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    offsets = [(row, column) for row in range(5) for column in range(5)]
    found = [
        next((r, c) for r, c in offsets if np.array_equal(image[r : r + 32, c : c + 32], moved))
        for image, moved in zip(padded, translated, strict=True)
    ]
    # 64 draws of 25 offsets leave out no row, column or corner at large.
    assert {row for row, _ in found} == {column for _, column in found} == set(range(5))
    assert len(set(found)) > 15


def test_transforms_combine_in_order_in_a_graph_on_batches_of_any_size() -> None:
    """A transform that loses the static shape fails the next one."""
    amounts = dict.fromkeys(AMOUNTS["photos"], 0.1)
    state = STATE._replace(image_uniform=STATE.image_uniform[:7])
    in_graph = lazy.tf.function(
        lambda images: augment("photos", images, state, **amounts),
        input_signature=[lazy.tf.TensorSpec((None, 32, 32, 3))],
    )
    rotated = augmentation.rotate_and_zoom(IMAGES[:7], 0.1, 0.1, state.fold_in(2))
    flipped = augmentation.alternating_flip(rotated, 0.1, state)
    expected = augmentation.random_translation(flipped, 0.1, state.fold_in(3))
    np.testing.assert_allclose(in_graph(IMAGES[:7]), expected, atol=1e-5)
