"""No augmentation: every epoch shows the images as they are."""

from typing import Literal

from pipeline.training.augmentation import BaseAugmentation, Images, RandomState


class Augmentation(BaseAugmentation):
    """The images unchanged."""

    kind: Literal["none"]

    def __call__(self, images: Images, random_state: RandomState) -> Images:
        return images
