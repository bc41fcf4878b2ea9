"""Optimizers: each update is its formula's, or Keras's own."""

from collections.abc import Iterator
from typing import Any

import lazy
import numpy as np
import pytest
from conftest import PARAMS, training_config

from pipeline.optimizers.adam_decay import Recipe
from pipeline.optimizers.muon import orthogonalize
from pipeline.training.variant import list_files

pytestmark = pytest.mark.usefixtures("tensorflow_started")
STEPS = 4
MUON = {"learning_rate": 0.2, "bias_learning_rate": 3.0, "head_learning_rate": 0.5}
MUON |= {"momentum": 0.6, "sgd_momentum": 0.85, "weight_decay": 0.01}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


def build(variant: str, **recipe: float) -> Any:
    return training_config(variant, recipe).recipe.build_optimizer(STEPS)


def apply(built: Any, initial: np.ndarray, gradients: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The variable `initial` after the step of each gradient."""
    variable = lazy.keras.Variable(initial)
    for gradient in gradients:
        built.apply_gradients([(lazy.tf.constant(gradient), variable)])
        yield variable.numpy()


def test_functional_optimizer_passes_slots_and_step() -> None:
    def update(gradient: Any, variable: Any, slots: Any, learning_rate: Any, step: Any) -> None:
        slots[0].assign_add(gradient)
        slots[1].assign_add(step * lazy.tf.ones_like(gradient))
        variable.assign_sub(learning_rate * gradient)

    built = lazy.optimizer.FunctionalOptimizer(update, 0.5, ("sum", "steps"))
    variables = [lazy.keras.Variable(np.zeros(shape, np.float32)) for shape in (2, (3, 2))]
    for _ in range(2):
        built.apply_gradients([(lazy.tf.ones(v.shape), v) for v in variables])
    assert [set(v.numpy().flat) for v in variables] == [{-1.0}, {-1.0}]
    *_, a, b, c, d = built.variables  # a checkpoint holds the slots
    assert [(v.shape, *set(v.numpy().flat)) for v in (a, b, c, d)] == [
        *(((2,), 2.0), ((2,), 3.0)),  # steps 1 and 2
        *(((3, 2), 2.0), ((3, 2), 3.0)),
    ]


@pytest.mark.parametrize(("variant", "name"), [("adam", "Adam"), ("sgd", "SGD")])
@pytest.mark.parametrize("shape", [(3, 3, 3, 8), (8,), (20, 10)])
def test_adam_and_sgd_match_keras(variant: str, name: str, shape: tuple[int, ...]) -> None:
    assert list_files("optimizers") == ["adam", "adam_decay", "muon", "sgd"]
    gradients = [10.0**-step * draw(*shape, seed=step) for step in range(8)]
    *_, expected = apply(getattr(lazy.keras.optimizers, name)(0.01), draw(*shape), gradients)
    *_, found = apply(build(variant, learning_rate=0.01), draw(*shape), gradients)
    assert np.abs(expected - draw(*shape)).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_the_learning_rate_of_adam_decay_falls_to_zero() -> None:
    recipe = Recipe.model_validate(PARAMS["recipes"]["trial_adam"] | {"learning_rate": 0.1})
    built, initial = recipe.build_optimizer(STEPS), np.zeros(3, np.float32)
    # Of equal gradients each step of Adam is the learning rate.
    values = list(apply(built, initial, [np.ones(3, np.float32)] * STEPS))
    steps = np.diff([initial, *values], axis=0)
    expected = np.repeat([[-0.1], [-0.075], [-0.05], [-0.025]], 3, axis=1)
    np.testing.assert_allclose(steps, expected, atol=1e-6)


# The singular values of the last lie up to a factor of 25 apart.
LEFT, _, RIGHT = np.linalg.svd(draw(16, 8), full_matrices=False)
FAINT = ((LEFT * np.geomspace(1, 0.04, 8)) @ RIGHT).astype(np.float32)


@pytest.mark.parametrize("matrix", [draw(27, 8), draw(8, 27), draw(576, 64), FAINT])
def test_orthogonalize_keeps_singular_vectors_and_levels_values(matrix: np.ndarray) -> None:
    found = orthogonalize(matrix).numpy()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    rotated = left.T @ found @ right.T  # diagonal in the singular vectors of the matrix
    np.testing.assert_allclose(rotated, np.diag(np.diag(rotated)), atol=1e-4)
    assert 0.6 < np.diag(rotated).min() <= np.diag(rotated).max() < 1.3
    np.testing.assert_allclose(orthogonalize(1000 * matrix), found, atol=1e-4)


def test_muon_orthogonalizes_the_momentum_of_kernels() -> None:
    kernel, momentum = 5 * draw(3, 3, 4, 8), np.zeros((36, 8))
    gradients = [draw(3, 3, 4, 8, seed=step) for step in range(STEPS)]
    for step, found in enumerate(apply(build("fast", **MUON), kernel, gradients)):
        gradient = gradients[step].reshape(36, 8)
        momentum = 0.6 * momentum + gradient
        lookahead = (gradient + 0.6 * momentum).astype(np.float32)
        normalized = kernel * np.sqrt(8) / np.linalg.norm(kernel)
        change = 0.2 * (1 - step / STEPS) * orthogonalize(lookahead).numpy()
        np.testing.assert_allclose(found, normalized - change.reshape(kernel.shape), atol=1e-5)
        kernel = found


@pytest.mark.parametrize(
    ("shape", "rate"), [((8,), "bias_learning_rate"), ((8, 10), "head_learning_rate")]
)
def test_muon_uses_nesterov_momentum_for_the_rest(shape: tuple[int, ...], rate: str) -> None:
    expected, momentum = draw(*shape).astype(np.float64), np.zeros(shape)
    gradients = [0.1 * draw(*shape, seed=step + 1) for step in range(STEPS + 1)]
    steps = list(apply(build("fast", **MUON), draw(*shape), gradients))
    for step, found in enumerate(steps[:STEPS]):
        change = MUON[rate] * gradients[step] + 0.01 * expected
        momentum = 0.85 * momentum + change
        expected = expected - (1 - step / STEPS) * (change + 0.85 * momentum)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(steps[STEPS], steps[STEPS - 1])  # the rate has reached 0
