"""Random changes to training images, inside the graph, each image drawn by itself.

Every draw is a pure function of what is given, not of a generator's state: neither threads nor
a restart in mid-training can change it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from pipeline.settings import Augmentation

Images: TypeAlias = Any  # tensor float32 (N, 32, 32, 3)
Seed: TypeAlias = Any  # tensor int32 (2,)
Turns: TypeAlias = Any  # tensor float32 (N,)


def flip_horizontal(images: Images, probability: float, seed: Seed) -> Images:
    """Mirror left and right, each image with `probability`."""
    return _select(_chosen(images, probability, seed), tf.reverse(images, [2]), images)


def flip_vertical(images: Images, probability: float, seed: Seed) -> Images:
    """Mirror top and bottom, each image with `probability`."""
    return _select(_chosen(images, probability, seed), tf.reverse(images, [1]), images)


def flip_evenly(images: Images, amount: float, turns: Turns) -> Images:
    """Mirror left and right in the share `amount` of the epochs, evenly spread over them.

    With 0.5 an image is mirrored in every second epoch, where independent draws would show it the
    same way twice running half of the time. `turns` are the images' first draws, in [0, 1), plus
    the epoch times `amount`. Source: Jordan, arXiv 2404.00498, for 0.5.
    """
    chosen = tf.math.floormod(turns, 1.0) < amount
    return _select(chosen, tf.reverse(images, [2]), images)


def shift(images: Images, amount: float, seed: Seed) -> Images:
    """Move by up to `amount` of the side each way, in whole pixels, edges reflected."""
    side = images.shape[1]
    reach = round(amount * side)
    moves = tf.random.stateless_uniform(
        (2, tf.shape(images)[0], 1), seed, -reach, reach + 1, tf.int32
    )
    # Reflected: -1 is 0, as the edge pixel counts twice.
    around = tf.math.floormod(tf.range(side) + moves, 2 * side)
    rows, columns = tf.unstack(tf.minimum(around, 2 * side - 1 - around))
    moved = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(moved, columns, axis=2, batch_dims=1)


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


def augment(
    images: Images, amounts: Mapping[Augmentation, float], seed: Seed, turns: Turns
) -> Images:
    """`images` float32 (N, 32, 32, 3) with every change of `amounts` (name to amount) applied.

    `turns` as in `flip_evenly`. The order is fixed, flips before resampling, because DVC does not
    see the order of keys.
    """
    for position, (name, flip) in enumerate(FLIPS.items()):
        if name in amounts:
            images = flip(images, amounts[name], _fold(seed, position))
    if "rotation" in amounts or "zoom" in amounts:
        rotation, zoom = amounts.get("rotation", 0.0), amounts.get("zoom", 0.0)
        images = rotate_and_zoom(images, rotation, zoom, _fold(seed, len(FLIPS)))
    if "flip_evenly" in amounts:
        images = flip_evenly(images, amounts["flip_evenly"], turns)
    if "shift" in amounts:
        images = shift(images, amounts["shift"], _fold(seed, len(FLIPS) + 1))
    return images


def _chosen(images: Images, probability: float, seed: Seed) -> tf.Tensor:
    return tf.random.stateless_uniform((tf.shape(images)[0],), seed) < probability


def _select(chosen: Any, these: Images, those: Images) -> Images:
    """Of `these` the images `chosen`, bool (N,), and the others of `those`.

    TensorFlow's first such operation copies whole images; `tf.where` decides anew for every pixel.
    """
    return tf.raw_ops.Select(condition=chosen, x=these, y=those)


def _fold(seed: Seed, position: int) -> Seed:
    return tf.random.experimental.stateless_fold_in(seed, position)
