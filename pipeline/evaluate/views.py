"""Test-time augmentation: a model asked about several views of an image answers better.

Source: the scheme of airbench (arXiv 2404.00498).
"""

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
import pydantic

from pipeline.base.params_file import Section


class Views(Section):
    """What a model is shown of an image, in evaluation and prediction alike."""

    mirrored: bool  # the mirror image, too
    # Pixels, along the diagonal both ways; 0 for none.
    shift: Annotated[int, pydantic.Field(ge=0, le=256)]

    @property
    def several(self) -> bool:
        """Whether there is any view but the image itself."""
        return self.mirrored or self.shift > 0


ONE = Views(mirrored=False, shift=0)


def probabilities(
    ask: Callable[[np.ndarray], np.ndarray], images: np.ndarray, views: Views
) -> np.ndarray:
    """Class probabilities float32 (N, K) that `ask` gives for the views of `images`, averaged.

    `images` are float32 (N, H, W, 3). Averaged are the logarithms, that is the network's outputs
    before the softmax; the image itself, and its mirror image, count as much as the two shifted
    ones together.
    """
    if not views.several:
        return ask(images)
    # In float64, whose last bits, where processors differ in exp and log, float32 does not show.
    # Its least positive number stands for what it rounded to 0.
    tiny = np.finfo(np.float32).tiny
    scores: np.ndarray | float = 0.0
    for weight, view in _weighted(images, views):
        scores = scores + weight * np.log(np.maximum(ask(view), tiny).astype(np.float64))
    shares = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def _weighted(images: np.ndarray, views: Views) -> Iterator[tuple[float, np.ndarray]]:
    """The views and their weights, which sum to 1."""
    reach = views.shift
    moves = {0: 0.5, -reach: 0.25, reach: 0.25} if reach else {0: 1.0}
    edges = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(images, edges, mode="symmetric")
    height, width = images.shape[1:3]
    for move, weight in moves.items():
        start = reach + move
        view = padded[:, start : start + height, start : start + width]
        if views.mirrored:
            yield weight / 2, view
            yield weight / 2, view[:, :, ::-1]
        else:
            yield weight, view
