"""Test-time augmentation: a model asked about several views of an image answers better.

Source: the scheme of airbench (arXiv 2404.00498); that only images on which the first view leaves
the model unsure are worth the others, hiverge/cifar10-speedrun.
"""

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
import pydantic

from pipeline.base.params_file import Section
from pipeline.evaluate import scores

Ask = Callable[[np.ndarray], np.ndarray]  # images to what a model gives before its softmax


class Views(Section):
    """What a model is shown of an image, in evaluation and prediction alike."""

    mirrored: bool  # the mirror image, too
    # Pixels, along the diagonal both ways; 0 for none.
    shift: Annotated[int, pydantic.Field(ge=0, le=256)]
    # The probability of a class at which the image itself is enough.
    sure: Annotated[float, pydantic.Field(gt=0, le=1)]

    @property
    def several(self) -> bool:
        """Whether there is any view but the image itself."""
        return self.mirrored or self.shift > 0


ONE = Views(mirrored=False, shift=0, sure=1.0)


def asked(
    ask: Ask, images: np.ndarray, views: Views, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """What `ask` gives for `images` by the `views`, and for the images alone; float64 (N, K) both.

    `images` are float32 (N, H, W, 3). All is divided by `temperature`, so that the softmax of it
    says how often the model is right (Guo et al., On Calibration of Modern Neural Networks, 2017,
    section 4.2).
    """
    alone = ask(images).astype(np.float64)
    found = alone.copy()
    with np.errstate(
        invalid="ignore"
    ):  # of a diverged model, which is refused when it has answered
        unsure = scores.softmax(alone / temperature).max(axis=1) < views.sure
    if views.several and unsure.any():
        found[unsure] = averaged(ask, images[unsure], views, alone[unsure])
    return found / temperature, alone / temperature


def averaged(ask: Ask, images: np.ndarray, views: Views, alone: np.ndarray) -> np.ndarray:
    """What `ask` gives for the views of `images`, averaged, float64 (N, K).

    `alone` is what it gave for the images themselves. They, and their mirror images, count as much
    as the two shifted ones together.
    """
    (weight, _), *others = _weighted(images, views)
    total: np.ndarray = weight * alone
    for weight, view in others:
        total = total + weight * ask(view).astype(np.float64)
    return total


def _weighted(images: np.ndarray, views: Views) -> Iterator[tuple[float, np.ndarray]]:
    """The views and their weights, which sum to 1; the first shows `images` as they are."""
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
