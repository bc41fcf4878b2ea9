"""A trained network answers as Keras's own, but for what processors differ in."""

from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.evaluate import scores
from pipeline.train import variant

pytestmark = pytest.mark.usefixtures("tensorflow_started")
PARAMS = params_file.read(PROJECT / "params.yaml")


def network(name: str) -> Any:
    """The saved kind of network of variant `name`, with weights that each play a part."""
    model = variant.read(PARAMS, name).build(shape=(32, 32, 3), classes=10, training=False)
    drawn = np.random.default_rng(1)
    model.set_weights(
        [
            drawn.uniform(0.5, 1.5, weight.shape)  # offsets, means, variances
            if weight.ndim == 1
            else drawn.normal(0, weight[..., 0].size ** -0.5, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


def operations(model: Any) -> set[str]:
    """The kinds of TensorFlow's operations that an answer of `model` takes."""
    import tensorflow as tf

    ask = tf.function(lambda images: model(images, training=False))
    graph = ask.get_concrete_function(tf.TensorSpec((None, 32, 32, 3))).graph
    return {operation.type for operation in graph.get_operations()}


def test_answers_as_keras_does_without_reciprocals() -> None:
    from pipeline.evaluate.portable import portable

    model = network("sprint")
    images = np.random.default_rng(2).random((5, 32, 32, 3), np.float32)
    kept = portable(model)
    logits = np.asarray(kept(images), np.float64)
    assert np.allclose(scores.softmax(logits), model(images), atol=1e-5)
    assert np.ptp(logits, axis=0).max() > 1e-3
    assert {"Rsqrt", "Softmax"} < operations(model)
    assert not {"Rsqrt", "Sqrt", "Softmax"} & operations(kept)


@pytest.mark.parametrize(("name", "normalizations"), [("sprint", 6), ("baseline", 0)])
def test_weights_and_name_are_kept(name: str, normalizations: int) -> None:
    from pipeline.evaluate.portable import FixedNormalization, portable

    model = network(name)
    kept = portable(model)
    assert kept.name == model.name
    assert kept.count_params() == model.count_params()
    kinds = [type(layer) for layer in kept.layers]
    assert kinds.count(FixedNormalization) == normalizations
    for own, other in zip(kept.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(own, other)


def test_network_that_ends_in_no_softmax_is_refused() -> None:
    import keras

    from pipeline.evaluate.portable import portable

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(10, name="last")])
    with pytest.raises(ValueError, match="its last layer, last, has no softmax"):
        portable(model)


@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, False)])
def test_normalization_of_any_kind_is_kept(scale: bool, center: bool) -> None:
    """A network that somebody adds may have Keras's default, which also scales."""
    import keras

    from pipeline.evaluate.portable import portable

    image = keras.Input((4, 4, 3))
    hidden = keras.layers.BatchNormalization(scale=scale, center=center, epsilon=0.01)(image)
    hidden = keras.layers.Flatten()(hidden)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(hidden))
    drawn = np.random.default_rng(1)
    model.set_weights([drawn.uniform(0.2, 1.5, weight.shape) for weight in model.get_weights()])
    images = drawn.random((6, 4, 4, 3)).astype(np.float32)
    found = scores.softmax(np.asarray(portable(model)(images), np.float64))
    np.testing.assert_allclose(found, model(images), rtol=1e-4)
