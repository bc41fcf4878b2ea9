"""The whitening layer: uncorrelated outputs of unit variance, with the same bits everywhere."""

import numpy as np
import pytest
from conftest import PROJECT

from pipeline import config, settings, whitening


def photos(count: int, seed: int = 1) -> np.ndarray:
    """Images float32 (count, 32, 32, 3) whose neighbouring pixels and channels are alike."""
    generator = np.random.default_rng(seed)
    walks = generator.normal(0, 0.05, (count, 32, 32, 3)).cumsum(axis=1).cumsum(axis=2) / 4
    grey = generator.normal(0, 0.1, (count, 32, 32, 1))
    return np.clip(0.4 + walks + grey, 0, 1).astype(np.float32)


def outputs(images: np.ndarray) -> np.ndarray:
    """What the layer makes of every patch: (patches, 24)."""
    kernel, bias = whitening.weights(images)
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
    kernel, bias = whitening.weights(photos(20))
    assert kernel.shape == (2, 2, 3, 24)
    assert bias.shape == (24,)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    np.testing.assert_array_equal(bias[12:], -bias[:12])


def test_last_bits_of_linear_algebra_do_not_reach_the_weights() -> None:
    images = photos(200).astype(np.float64)
    noise = np.random.default_rng(2).normal(0, 1e-10, images.shape)
    for one, other in zip(
        whitening.weights(images), whitening.weights(images + noise), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(
        whitening.weights(photos(200, seed=2))[0], whitening.weights(images)[0]
    )


@pytest.mark.usefixtures("tensorflow_started")
def test_layer_gets_the_weights_and_a_network_without_one_stays() -> None:
    from pipeline import networks

    params = config.read(PROJECT / "params.yaml")
    variant = settings.variant(params, "fast").model_copy(update={"widths": (8, 8, 8)})
    network = networks.build(variant, training=True)
    images = photos(20)
    whitening.start(network, images)
    layer = network.get_layer("whitening")
    assert not layer.trainable_variables
    for found, expected in zip(layer.get_weights(), whitening.weights(images), strict=True):
        np.testing.assert_array_equal(found, expected)
    plain = networks.build(settings.variant(params, "baseline"), training=True)
    before = plain.get_weights()
    whitening.start(plain, images)
    for found, expected in zip(plain.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
