"""Rotation, zoom, alternating flip and translation, for photos taken from all sides."""

from typing import Literal

from pipeline.training.augmentation import (
    BaseAugmentation,
    Images,
    Probability,
    RandomState,
    alternating_flip,
    random_translation,
    rotate_and_zoom,
)


class Augmentation(BaseAugmentation):
    """The transforms in the order of the fields."""

    kind: Literal["photos"]
    rotation: Probability  # full turns, either way
    zoom: Probability  # scale by 1 - zoom to 1 + zoom
    alternating_flip: Probability  # share of the epochs in which an image is flipped
    translation: Probability  # share of the side, each way

    def __call__(self, images: Images, random_state: RandomState) -> Images:
        if self.rotation or self.zoom:
            images = rotate_and_zoom(images, self.rotation, self.zoom, random_state.fold_in(2))
        if self.alternating_flip:
            images = alternating_flip(images, self.alternating_flip, random_state)
        if self.translation:
            images = random_translation(images, self.translation, random_state.fold_in(3))
        return images
