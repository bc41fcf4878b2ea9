"""The first layer of the `whitened` network, computed from the training images.

Its outputs are the principal components of 2x2 patches, each scaled to unit variance, and their
negatives. Learning them is what the first convolution of a network otherwise spends its time on.
Source: Page, How to train your ResNet, 2019; airbench (arXiv 2404.00498).
"""

from typing import Any

import numpy as np

SIZE = 2
FILTERS = 2 * SIZE * SIZE * 3  # both signs of every component of a patch of three channels
_IMAGES = 5_000  # 4.8 million patches, enough for a covariance of 12 by 12
# Added to the components' variances, in units of a pixel's variance; without it the faintest
# ones, which are noise, would be magnified a hundredfold.
_EPSILON = 5e-4
# The last bits depend on the machine's linear algebra, and must not reach the model.
_DECIMALS = 4


def weights(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel float32 (2, 2, 3, 24) and bias float32 (24,) for `images` float32 (N, 32, 32, 3)."""
    few = images[:_IMAGES].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(few, (SIZE, SIZE), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, SIZE * SIZE * 3)
    mean = patches.mean(axis=0)
    covariance = patches.T @ patches / len(patches) - np.outer(mean, mean)
    variances, components = np.linalg.eigh(covariance)
    # A component's sign is free; its largest entry shall be positive.
    largest = np.abs(components).argmax(axis=0)
    components *= np.sign(components[largest, np.arange(len(largest))])
    scaled = components / np.sqrt(variances + _EPSILON * patches.var())
    kernel = np.concatenate([scaled, -scaled], axis=1).round(_DECIMALS)
    bias = -(mean.round(_DECIMALS) @ kernel)
    return kernel.reshape(SIZE, SIZE, 3, FILTERS).astype(np.float32), bias.astype(np.float32)


def start(network: Any, images: np.ndarray) -> None:
    """Give the layer `whitening` of `network`, where it has one, its weights for `images`."""
    for layer in network.layers:
        if layer.name == "whitening":
            layer.set_weights(weights(images))
