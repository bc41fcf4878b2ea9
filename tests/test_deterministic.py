"""The deterministic network computes what Keras's does, without reciprocal roots and softmax."""

from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from pipeline.core.params import read_params
from pipeline.evaluation import metrics
from pipeline.training.variant import read_training_config

pytestmark = pytest.mark.usefixtures("tensorflow_started")
PARAMS = read_params(PROJECT / "params.yaml")


def randomize(model: Any) -> None:
    """Weights that each change the output; biases, means and variances are 0.5 to 1.5."""
    generator = np.random.default_rng(1)
    model.set_weights(
        [
            generator.uniform(0.5, 1.5, weight.shape)
            if weight.ndim == 1
            else generator.normal(0, weight[..., 0].size ** -0.5, weight.shape)
            for weight in model.get_weights()
        ]
    )


def operations(model: Any) -> set[str]:
    """The types of TensorFlow operations in the inference of `model`."""
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((None, 32, 32, 3))).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(("name", "normalizations"), [("sprint", 6), ("baseline", 0)])
def test_networks_of_the_study(name: str, normalizations: int) -> None:
    from pipeline.evaluation.deterministic import FoldedBatchNormalization, make_deterministic

    network = read_training_config(PARAMS, name).network
    model = network.build(shape=(32, 32, 3), classes=10, training=False)
    randomize(model)
    clone = make_deterministic(model)
    assert (clone.name, clone.count_params()) == (model.name, model.count_params())
    assert [type(layer) for layer in clone.layers].count(FoldedBatchNormalization) == normalizations
    for weight, original in zip(clone.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(weight, original)
    images = np.random.default_rng(2).random((5, 32, 32, 3), np.float32)
    logits = np.asarray(clone(images), np.float64)
    assert np.allclose(metrics.softmax(logits), model(images), atol=1e-5)
    assert np.ptp(logits, axis=0).max() > 1e-3
    assert not {"Rsqrt", "Sqrt", "Softmax"} & operations(clone)
    with pytest.raises(ValueError, match="softmax"):
        make_deterministic(clone)


@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, False)])
def test_every_batch_normalization(scale: bool, center: bool) -> None:
    import keras

    from pipeline.evaluation.deterministic import make_deterministic

    image = keras.Input((4, 4, 3))
    hidden = keras.layers.BatchNormalization(scale=scale, center=center, epsilon=0.01)(image)
    hidden = keras.layers.Flatten()(hidden)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(hidden))
    randomize(model)
    images = np.random.default_rng(2).random((6, 4, 4, 3)).astype(np.float32)
    probabilities = metrics.softmax(np.asarray(make_deterministic(model)(images), np.float64))
    np.testing.assert_allclose(probabilities, model(images), rtol=1e-4)
