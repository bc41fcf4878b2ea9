"""The airbench network's initial weights: whitening, with the same bits everywhere, and Dirac."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import training_config
from test_networks import build

from pipeline.networks import airbench
from pipeline.networks.airbench import whitening_weights


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


@pytest.mark.usefixtures("tensorflow_started")
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
