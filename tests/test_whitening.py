"""The whitening layer: uncorrelated outputs of unit variance, with the same bits everywhere."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.networks import whitened
from pipeline.networks.whitened import whitening_weights
from pipeline.train import variant


def photos(count: int, seed: int = 1) -> np.ndarray:
    """Images float32 (count, 32, 32, 3) whose neighbouring pixels and channels are alike."""
    generator = np.random.default_rng(seed)
    walks = generator.normal(0, 0.05, (count, 32, 32, 3)).cumsum(axis=1).cumsum(axis=2) / 4
    grey = generator.normal(0, 0.1, (count, 32, 32, 1))
    return np.clip(0.4 + walks + grey, 0, 1).astype(np.float32)


def outputs(images: np.ndarray) -> np.ndarray:
    """What the layer makes of every patch: (patches, 24)."""
    kernel, bias = whitening_weights(images)
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(1, 2))
    return np.asarray(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias).reshape(-1, 24)


def test_outputs_are_uncorrelated_and_of_unit_variance() -> None:
    found = outputs(photos(200))[:, :12]
    covariance = np.cov(found.T)
    # Less than 1 by what is added to the faintest variances.
    assert (np.diag(covariance) > 0.7).all()
    assert (np.diag(covariance) < 1.001).all()
    np.testing.assert_allclose(np.diag(covariance)[-3:], 1, atol=0.01)  # the strongest
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-2)


def test_second_half_is_the_first_mirrored() -> None:
    kernel, bias = whitening_weights(photos(20))
    assert kernel.shape == (2, 2, 3, 24)
    assert bias.shape == (24,)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    np.testing.assert_array_equal(bias[12:], -bias[:12])


def test_images_may_have_other_channels() -> None:
    kernel, bias = whitening_weights(photos(20)[..., :1])
    assert kernel.shape == (2, 2, 1, 8)
    assert bias.shape == (8,)


def test_faint_components_are_magnified_within_limits() -> None:
    """Of grey images, nine components of twelve are nothing but rounding."""
    grey = photos(20)[..., :1].repeat(3, axis=3)
    kernel, _ = whitening_weights(grey)
    assert abs(kernel).max() < 1 / (4e-4**0.5 * grey.std())


def test_last_bits_of_linear_algebra_do_not_reach_the_weights() -> None:
    images = photos(200).astype(np.float64)
    noise = np.random.default_rng(2).normal(0, 1e-10, images.shape)
    for one, other in zip(
        whitening_weights(images), whitening_weights(images + noise), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    kernel, _ = whitening_weights(images)
    assert np.array_equal(kernel.astype(np.float64).round(4).astype(np.float32), kernel)
    another, _ = whitening_weights(photos(200, seed=2))
    assert not np.array_equal(another, kernel)


def test_sign_of_a_component_does_not_depend_on_linear_algebra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It gives either of two, as it likes."""
    expected = whitening_weights(photos(20))
    eigh = np.linalg.eigh
    with monkeypatch.context() as patch:
        patch.setattr(np.linalg, "eigh", lambda matrix: (eigh(matrix)[0], -eigh(matrix)[1]))
        found = whitening_weights(photos(20))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("side", "images"), [(32, 5000), (64, 1210), (16, 6000)])
def test_as_many_patches_are_taken_of_images_of_any_size(
    monkeypatch: pytest.MonkeyPatch, side: int, images: int
) -> None:
    """4.8 million, or all that there are."""
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(whitened, "whitening_weights", lambda few: seen.append(few.shape))
    chosen = variant.read(params_file.read(PROJECT / "params.yaml"), "fast")
    layer = SimpleNamespace(set_weights=lambda _: None)
    model = SimpleNamespace(get_layer=lambda _: layer)
    chosen.start(model, np.broadcast_to(np.float32(0), (6000, side, side, 3)))
    assert seen == [(images, side, side, 3)]


@pytest.mark.usefixtures("tensorflow_started")
def test_layer_gets_the_weights_and_a_network_without_one_stays() -> None:
    params = params_file.read(PROJECT / "params.yaml")
    images = photos(20)
    fast = variant.read(params, "fast").model_copy(update={"widths": (8, 8, 8)})
    network = fast.build(shape=(32, 32, 3), classes=10, training=True)
    fast.start(network, images)
    layer = network.get_layer("whitening")
    assert not layer.trainable_variables
    for found, expected in zip(layer.get_weights(), whitening_weights(images), strict=True):
        np.testing.assert_array_equal(found, expected)
    baseline = variant.read(params, "baseline")
    plain = baseline.build(shape=(32, 32, 3), classes=10, training=True)
    before = plain.get_weights()
    baseline.start(plain, images)
    for found, expected in zip(plain.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
