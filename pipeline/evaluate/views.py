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


def averaged(
    ask: Callable[[np.ndarray], np.ndarray], images: np.ndarray, views: Views
) -> np.ndarray:
    """What `ask` gives for the views of `images`, float (N, K), averaged, as float64.

    `images` are float32 (N, H, W, 3). The image itself, and its mirror image, count as much as the
    two shifted ones together.
    """
    total: np.ndarray | float = 0.0
    for weight, view in _weighted(images, views):
        total = total + weight * ask(view).astype(np.float64)
    return np.asarray(total)


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
