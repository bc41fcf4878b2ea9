"""Networks: shapes, parameter counts, predictions and initial weights, the same everywhere."""

from types import SimpleNamespace
from typing import Any

import lazy
import numpy as np
import pytest
from conftest import training_config

from pipeline.networks import airbench
from pipeline.networks.airbench import whitening_weights
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

    assert list_files("networks") == ["airbench", "cnn", "transfer"]
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


def photos(count: int, seed: int = 1) -> np.ndarray:
    """Images float32 (count, 32, 32, 3) whose neighbouring pixels and channels correlate."""
    generator = np.random.default_rng(seed)
    walks = generator.normal(0, 0.05, (count, 32, 32, 3)).cumsum(axis=1).cumsum(axis=2) / 4
    grey = generator.normal(0, 0.1, (count, 32, 32, 1))
    return np.clip(0.4 + walks + grey, 0, 1).astype(np.float32)


def assert_equal(weights: Any, others: Any) -> None:
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_whitened_patches_are_uncorrelated_and_of_unit_variance() -> None:
    images = photos(200)
    kernel, bias = whitening_weights(images)
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(1, 2))
    outputs = np.asarray(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias).reshape(-1, 24)
    covariance = np.cov(outputs[:, :12].T)
    variances = np.diag(covariance)
    # Less than 1 by what is added to the smallest variances.
    assert 0.7 < variances.min() < variances.max() < 1.001
    np.testing.assert_allclose(variances[-3:], 1, atol=0.01)  # of the largest
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-3)
    np.testing.assert_allclose(outputs.mean(axis=0), 0, atol=1e-2)


@pytest.mark.parametrize("channels", [3, 1])
def test_whitening_has_both_signs_for_any_channels(channels: int) -> None:
    kernel, bias = whitening_weights(photos(20)[..., :channels])
    count = 4 * channels
    assert (kernel.shape, bias.shape) == ((2, 2, channels, 2 * count), (2 * count,))
    assert_equal((kernel[..., count:], bias[count:]), (-kernel[..., :count], -bias[:count]))


def test_whitening_magnifies_noise_within_limits() -> None:
    """Of grey images, nine components of twelve are nothing but rounding."""
    grey = photos(20)[..., :1].repeat(3, axis=3)
    kernel, _ = whitening_weights(grey)
    assert abs(kernel).max() < 1 / (4e-4**0.5 * grey.std())


def test_last_bits_and_signs_of_linear_algebra_do_not_reach_the_whitening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = photos(200).astype(np.float64)
    expected = whitening_weights(images)
    noise = np.random.default_rng(2).normal(0, 1e-10, images.shape)
    assert_equal(whitening_weights(images + noise), expected)
    assert not np.array_equal(whitening_weights(photos(200, seed=2))[0], expected[0])
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (eigh(matrix)[0], -eigh(matrix)[1]))
    assert_equal(whitening_weights(images), expected)


@pytest.mark.parametrize(("side", "count"), [(32, 5000), (64, 1210), (16, 6000)])
def test_whitening_samples_as_many_patches_of_images_of_any_size(
    monkeypatch: pytest.MonkeyPatch, side: int, count: int
) -> None:
    """4.8 million, or all that there are."""
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(airbench, "whitening_weights", lambda sample: shapes.append(sample.shape))
    model = SimpleNamespace(get_layer=lambda _: SimpleNamespace(set_weights=lambda _: None))
    images = np.broadcast_to(np.float32(0), (6000, side, side, 3))
    training_config("fast").network.init_from_data(model, images)
    assert shapes == [(count, side, side, 3)]


def test_training_starts_from_whitening_dirac_kernels_and_small_logits() -> None:
    model, images = build("fast", training=True), photos(20)
    training_config("fast").network.init_from_data(model, images)
    whitening = model.get_layer("whitening")
    assert not whitening.trainable_variables
    assert_equal(whitening.get_weights(), whitening_weights(images))
    for number, channels in enumerate((24, 64, 64, 128, 128, 128), 1):
        (kernel,) = model.get_layer(f"convolution_{number}").get_weights()
        pixel = np.random.default_rng(1).random((5, channels), np.float32)
        filters = min(channels, kernel.shape[-1])
        np.testing.assert_array_equal(pixel @ kernel[1, 1, :, :filters], pixel[:, :filters])
        assert np.count_nonzero(kernel[..., :filters]) == filters
        random, limit = kernel[..., channels:], (9 * channels) ** -0.5
        if random.size:
            assert abs(random).max() <= limit
            assert random.std() == pytest.approx(limit / 3**0.5, rel=0.05)
    (head,) = model.get_layer("class").get_weights()
    assert head.std() == pytest.approx(1 / 128, rel=0.1)
