"""Networks: shapes, parameter counts and predictions; with and without layers for training."""

from typing import Any

import lazy
import numpy as np
import pytest
from conftest import training_config

from pipeline.training.variant import list_files

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES = np.random.default_rng(1).random((5, 32, 32, 3), np.float32)


def build(name: str, *, training: bool, **settings: Any) -> Any:
    network = training_config(name, **settings).network
    return network.build(shape=(32, 32, 3), classes=10, training=training)


def randomize(model: Any) -> Any:
    """`model` with random weights, none of them 0."""
    generator = np.random.default_rng(1)
    model.set_weights(
        [
            generator.uniform(0.5, 1.5, weight.shape)  # offsets, means, variances
            if weight.ndim == 1
            else generator.normal(0, weight[..., 0].size ** -0.5, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("baseline", 66_170),
        ("improved", 89_834),
        ("deep", 666_026),
        ("final", 529_322),
        # Whitening 312, convolutions 13,824 + 36,864 + 73,728 + 3 * 147,456, normalization
        # three each of 640, classes 1,280.
        ("fast", 570_296),
    ],
)
def test_parameter_counts_and_shapes(name: str, parameters: int) -> None:
    model = build(name, training=False)
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 3), (None, 10))
    assert model.count_params() == parameters


@pytest.mark.parametrize("variant", ["deep", "fast"])
def test_models_for_training_and_for_saving_are_equal(variant: str) -> None:
    one, other = (randomize(build(variant, training=training)) for training in (True, False))
    for weights in zip(one.weights, other.weights, strict=True):
        assert len({(weight.path, weight.shape) for weight in weights}) == 1
    np.testing.assert_allclose(one(IMAGES), other(IMAGES), atol=1e-5)


def test_layers_of_the_project_are_for_training_alone() -> None:
    """A saved network has to load without them."""

    def project_layers(name: str, training: bool) -> list[str]:
        kinds = [type(layer) for layer in build(name, training=training).layers]
        return sorted(kind.__name__ for kind in kinds if not kind.__module__.startswith("keras."))

    assert list_files("networks") == ["airbench", "cnn"]
    normalization = ["FusedBatchNormalization"] * 6
    assert project_layers("deep", True) == ["Convolution"] * 5
    assert project_layers("fast", True) == ["Convolution"] * 5 + normalization
    activation = build("fast", training=True).get_layer("activation_6").activation
    assert activation is lazy.layers.silu
    assert project_layers("deep", False) == project_layers("fast", False) == []


@pytest.mark.parametrize(("variant", "smallest"), [("baseline", 32), ("sprint", 9)])
def test_min_image_size_leaves_a_pixel(variant: str, smallest: int) -> None:
    assert training_config(variant).network.min_image_size(32) == smallest
    assert training_config(variant, widths=[4] * 6).network.min_image_size(32) > 32
    model = build(variant, training=True)
    assert model(IMAGES[:, :smallest, :smallest]).shape == (5, 10)


def layers_of_cnn() -> list[Any]:
    layers, stack = lazy.keras.layers, []
    for width in (16, 32, 64):
        stack.append(layers.Conv2D(width, 3, padding="same", activation="relu"))
        stack.append(layers.MaxPooling2D())
    head = [layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    return [*stack, layers.Flatten(), *head]


def layers_of_airbench() -> list[Any]:
    layers = lazy.keras.layers
    stack = [layers.Conv2D(24, 2, activation="silu")]
    for width in (4, 6):
        for pooling in ([layers.MaxPooling2D()], []):
            stack += [
                layers.Conv2D(width, 3, padding="same", use_bias=False),
                *pooling,
                layers.BatchNormalization(scale=False, epsilon=1e-6),
                layers.Activation("silu"),
            ]
    return [*stack, layers.GlobalMaxPooling2D(), layers.Dense(10, "softmax", use_bias=False)]


@pytest.mark.parametrize(
    ("variant", "settings", "layers"),
    [("improved", {}, layers_of_cnn), ("sprint", {"widths": [4, 6]}, layers_of_airbench)],
)
def test_networks_are_the_described_stacks_of_layers(
    variant: str, settings: dict[str, Any], layers: Any
) -> None:
    model = randomize(build(variant, training=False, **settings))
    expected = lazy.keras.Sequential([lazy.keras.Input((32, 32, 3)), *layers()])
    expected.set_weights(model.get_weights())
    found = np.asarray(model(IMAGES))
    np.testing.assert_allclose(found, expected(IMAGES), rtol=1e-4, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_settings_of_layers_are_those_of_the_variant(training: bool) -> None:
    model = build("deep", training=training)
    assert [layer.name for layer in model.layers[-3:]] == ["dense", "dropout", "class"]
    assert model.get_layer("dropout").rate == 0.5
    without = build("deep", training=training, dropout=0.0)
    assert "dropout" not in [layer.name for layer in without.layers]
    model = build("fast", training=training, normalization_momentum=0.7)
    layers = [layer for layer in model.layers if layer.name.startswith("normalization")]
    assert [(layer.momentum, layer.epsilon) for layer in layers] == [(0.7, 1e-6)] * 6
