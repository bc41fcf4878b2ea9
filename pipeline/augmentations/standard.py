"""Random flips, rotation and zoom, like Keras's RandomFlip, RandomRotation and RandomZoom."""

from typing import Literal

from pipeline.training.augmentation import (
    BaseAugmentation,
    Images,
    Probability,
    RandomState,
    random_flip,
    rotate_and_zoom,
)


class Augmentation(BaseAugmentation):
    """Flips by their probabilities, then rotation and zoom by up to their amounts."""

    kind: Literal["standard"]
    flip_horizontal: Probability
    flip_vertical: Probability
    rotation: Probability  # full turns, either way
    zoom: Probability  # scale by 1 - zoom to 1 + zoom

    def __call__(self, images: Images, random_state: RandomState) -> Images:
        if self.flip_horizontal:
            images = random_flip(images, self.flip_horizontal, random_state.fold_in(0), axis=2)
        if self.flip_vertical:
            images = random_flip(images, self.flip_vertical, random_state.fold_in(1), axis=1)
        if self.rotation or self.zoom:
            images = rotate_and_zoom(images, self.rotation, self.zoom, random_state.fold_in(2))
        return images
