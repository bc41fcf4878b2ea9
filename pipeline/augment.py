"""Random changes to training images, inside the graph, each image drawn by itself.

Every draw is a pure function of the seed given, not of a generator's state: neither threads nor
a restart in mid-training can change it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from pipeline.settings import Augmentation

Images: TypeAlias = Any  # tensor float32 (N, 32, 32, 3)
Seed: TypeAlias = Any  # tensor int32 (2,)


def flip_horizontal(images: Images, probability: float, seed: Seed) -> Images:
    """Mirror left and right, each image with `probability`."""
    return tf.where(_chosen(images, probability, seed), tf.reverse(images, [2]), images)


def flip_vertical(images: Images, probability: float, seed: Seed) -> Images:
    """Mirror top and bottom, each image with `probability`."""
    return tf.where(_chosen(images, probability, seed), tf.reverse(images, [1]), images)


def rotate_and_zoom(images: Images, rotation: float, zoom: float, seed: Seed) -> Images:
    """Turn by up to `rotation` full turns either way and scale by 1 - `zoom` to 1 + `zoom`.

    As Keras's RandomRotation followed by RandomZoom (bilinear, edges reflected), but as a single
    resampling: half the work and half the blur.
    """
    draws = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed, -1.0, 1.0)
    angle = draws[0] * (rotation * 2 * math.pi)
    scale = 1.0 + draws[1] * zoom
    cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
    # Around the centre of the pixel grid: input = centre + matrix (output - centre).
    centre = (images.shape[1] - 1) / 2
    zero = tf.zeros_like(angle)
    shift_x = centre - centre * cosine + centre * sine
    shift_y = centre - centre * sine - centre * cosine
    matrix = tf.stack([cosine, -sine, shift_x, sine, cosine, shift_y, zero, zero], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrix,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


FLIPS: dict[Augmentation, Callable[[Images, float, Seed], Images]] = {
    "flip_horizontal": flip_horizontal,
    "flip_vertical": flip_vertical,
}


def augment(images: Images, amounts: Mapping[Augmentation, float], seed: Seed) -> Images:
    """`images` float32 (N, 32, 32, 3) with every change of `amounts` (name to amount) applied.

    The order is fixed, flips before resampling, because DVC does not see the order of keys.
    """
    for position, (name, flip) in enumerate(FLIPS.items()):
        if name in amounts:
            images = flip(images, amounts[name], _fold(seed, position))
    if "rotation" in amounts or "zoom" in amounts:
        rotation, zoom = amounts.get("rotation", 0.0), amounts.get("zoom", 0.0)
        images = rotate_and_zoom(images, rotation, zoom, _fold(seed, len(FLIPS)))
    return images


def _chosen(images: Images, probability: float, seed: Seed) -> tf.Tensor:
    draws = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed)
    return draws < probability


def _fold(seed: Seed, position: int) -> Seed:
    return tf.random.experimental.stateless_fold_in(seed, position)
