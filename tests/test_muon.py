"""Muon: orthogonal updates of kernels, Nesterov momentum for the rest, rates that fall to 0."""

from typing import Any

import numpy as np
import pytest

from pipeline.train.recipe import MuonRecipe

pytestmark = pytest.mark.usefixtures("tensorflow_started")
STEPS = 4


@pytest.fixture
def recipe() -> MuonRecipe:
    return MuonRecipe(
        optimizer="muon",
        learning_rate=0.2,
        momentum=0.6,
        bias_learning_rate=3.0,
        head_learning_rate=0.5,
        sgd_momentum=0.85,
        weight_decay=0.01,
        growth={"px24": 1, "px16": 2},
        loss="categorical_crossentropy",
        label_smoothing=0.1,
        epochs=5,
        batch_size=64,
        micro_batch_size=16,
        micro_batches_at_once=2,
        train_on="train",
        validation_batch_size=100,
        early_stopping=None,
        class_weights=None,
    )


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(27, 8), (8, 27), (576, 64)])
def test_direction_is_orthogonal_and_along_the_matrix(shape: tuple[int, int]) -> None:
    from pipeline.train.optimizers.muon import orthogonalized

    matrix = draws(*shape)
    found = orthogonalized(matrix).numpy()
    assert found.shape == shape
    singular = np.linalg.svd(found, compute_uv=False)
    # Those of the matrix lie up to a factor of 4 apart.
    assert 0.6 < singular.min() <= singular.max() < 1.3
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ found @ right.T  # diagonal where the singular vectors are the matrix's
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-4)
    assert np.diag(turned).min() > 0.6
    # The size of a gradient tells nothing.
    np.testing.assert_allclose(orthogonalized(1000 * matrix), found, atol=1e-4)


def test_directions_far_fainter_than_others_count_as_much() -> None:
    from pipeline.train.optimizers.muon import orthogonalized

    left, _, right = np.linalg.svd(draws(16, 8), full_matrices=False)
    matrix = (left * np.geomspace(1, 0.04, 8)) @ right
    singular = np.linalg.svd(orthogonalized(matrix.astype(np.float32)), compute_uv=False)
    assert 0.6 < singular.min() <= singular.max() < 1.3


def after_each_step(recipe: MuonRecipe, start: np.ndarray, gradients: list[np.ndarray]) -> Any:
    import keras
    import tensorflow as tf

    from pipeline.train.optimizers.muon import Muon

    variable, optimizer = keras.Variable(start), Muon(recipe, STEPS)
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        yield variable.numpy()


def test_kernel_moves_along_orthogonal_momentum_from_a_fixed_norm(recipe: MuonRecipe) -> None:
    from pipeline.train.optimizers.muon import orthogonalized

    kernel, momentum = 5 * draws(3, 3, 4, 8), np.zeros((36, 8))
    gradients = [draws(3, 3, 4, 8, seed=step) for step in range(STEPS)]
    for step, found in enumerate(after_each_step(recipe, kernel, gradients)):
        gradient = gradients[step].reshape(36, 8)
        momentum = recipe.momentum * momentum + gradient
        ahead = (gradient + recipe.momentum * momentum).astype(np.float32)
        unit = kernel * np.sqrt(8) / np.linalg.norm(kernel)
        change = recipe.learning_rate * (1 - step / STEPS) * orthogonalized(ahead).numpy()
        np.testing.assert_allclose(found, unit - change.reshape(kernel.shape), atol=1e-5)
        kernel = found


@pytest.mark.parametrize(
    ("shape", "rate"), [((8,), "bias_learning_rate"), ((8, 10), "head_learning_rate")]
)
def test_the_rest_gets_nesterov_momentum(
    recipe: MuonRecipe, shape: tuple[int, ...], rate: str
) -> None:
    expected, momentum = draws(*shape).astype(np.float64), np.zeros(shape)
    gradients = [0.1 * draws(*shape, seed=step + 1) for step in range(STEPS)]
    start = draws(*shape)
    for step, found in enumerate(after_each_step(recipe, start, gradients)):
        change = getattr(recipe, rate) * gradients[step] + recipe.weight_decay * expected
        momentum = recipe.sgd_momentum * momentum + change
        expected = expected - (1 - step / STEPS) * (change + recipe.sgd_momentum * momentum)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_nothing_moves_after_the_last_step(recipe: MuonRecipe) -> None:
    *_, last, beyond = after_each_step(recipe, draws(8, 10), [draws(8, 10)] * (STEPS + 1))
    np.testing.assert_array_equal(beyond, last)


def test_sides_grow_epoch_by_epoch_and_end_with_the_training(recipe: MuonRecipe) -> None:
    assert recipe.sides(32) == (16, 16, 24, 32, 32)
    assert recipe.sides(28) == (16, 16, 24, 28, 28)
    by_size = {"px24": 1, "px8": 1, "px16": 1}  # not by the letters of the keys
    assert recipe.model_copy(update={"growth": by_size}).sides(32) == (8, 16, 24, 32, 32)
    assert recipe.model_copy(update={"growth": {}}).sides(32) == (32,) * 5
    # As in `make quick`.
    assert recipe.model_copy(update={"epochs": 1}).sides(32) == (16,)
    assert recipe.model_copy(update={"epochs": 3}).sides(32) == (16, 16, 24)
