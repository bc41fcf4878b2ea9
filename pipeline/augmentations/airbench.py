"""Alternating flip and random translation. Source: Jordan, airbench, arXiv 2404.00498."""

from typing import Literal

from pipeline.training.augmentation import (
    BaseAugmentation,
    Images,
    Probability,
    RandomState,
    alternating_flip,
    random_translation,
)


class Augmentation(BaseAugmentation):
    """The flip, then the translation."""

    kind: Literal["airbench"]
    alternating_flip: Probability  # share of the epochs in which an image is flipped
    translation: Probability  # share of the side, each way

    def __call__(self, images: Images, random_state: RandomState) -> Images:
        if self.alternating_flip:
            images = alternating_flip(images, self.alternating_flip, random_state)
        if self.translation:
            images = random_translation(images, self.translation, random_state.fold_in(3))
        return images
