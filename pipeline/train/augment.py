"""Random changes to training images, inside the graph, each image drawn by itself.

A change is a function here and a line of CHANGES; its keyword-only arguments are its keys under a
variant's `augmentation`, each an amount above 0 and up to 1. Every draw is a pure function of what
is given, not of a generator's state: neither threads nor a restart in mid-training can change it.
"""

import math
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, NamedTuple, TypeAlias

from pipeline.runtime import Lazy

tf = Lazy("tensorflow")  # as params.yaml is checked by the names below

Images: TypeAlias = Any  # tensor float32 (N, H, W, C)
Seed: TypeAlias = Any  # tensor int32 (2,)


class Draw(NamedTuple):
    """What the chance of a batch follows from.

    `seed` is another in every batch of every epoch. `first` float32 (N,) in [0, 1) is drawn once
    for each image, `epoch` float32 () counts from 0.
    """

    seed: Seed
    first: Any
    epoch: Any


def flip_horizontal(images: Images, draw: Draw, *, flip_horizontal: float) -> Images:
    """Mirror left and right, each image with the probability `flip_horizontal`."""
    return _select(_chosen(images, flip_horizontal, draw), tf.reverse(images, [2]), images)


def flip_vertical(images: Images, draw: Draw, *, flip_vertical: float) -> Images:
    """Mirror top and bottom, each image with the probability `flip_vertical`."""
    return _select(_chosen(images, flip_vertical, draw), tf.reverse(images, [1]), images)


def rotate_and_zoom(images: Images, draw: Draw, *, rotation: float, zoom: float) -> Images:
    """Turn by up to `rotation` full turns either way and scale by 1 - `zoom` to 1 + `zoom`.

    As Keras's RandomRotation followed by RandomZoom (bilinear, edges reflected), but as a single
    resampling: half the work and half the blur.
    """
    draws = tf.random.stateless_uniform((2, tf.shape(images)[0]), draw.seed, -1.0, 1.0)
    angle = draws[0] * (rotation * 2 * math.pi)
    scale = 1.0 + draws[1] * zoom
    cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
    # Around the centre of the pixel grid: input = centre + matrix (output - centre).
    centre = (images.shape[1] - 1) / 2
    zero = tf.zeros_like(angle)
    shift_x = centre - centre * cosine + centre * sine
    shift_y = centre - centre * sine - centre * cosine
    matrix = tf.stack([cosine, -sine, shift_x, sine, cosine, shift_y, zero, zero], axis=1)
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrix,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    turned.set_shape(images.shape)  # which the next change may ask for
    return turned


def flip_evenly(images: Images, draw: Draw, *, flip_evenly: float) -> Images:
    """Mirror left and right in the share `flip_evenly` of the epochs, evenly spread over them.

    With 0.5 an image is mirrored in every second epoch, where independent draws would show it the
    same way twice running half of the time. Source: Jordan, arXiv 2404.00498, for 0.5.
    """
    turns = draw.first + draw.epoch * flip_evenly
    return _select(tf.math.floormod(turns, 1.0) < flip_evenly, tf.reverse(images, [2]), images)


def shift(images: Images, draw: Draw, *, shift: float) -> Images:
    """Move by up to `shift` of the side each way, in whole pixels, edges reflected."""
    side = images.shape[1]
    reach = round(shift * side)
    moves = tf.random.stateless_uniform(
        (2, tf.shape(images)[0], 1), draw.seed, -reach, reach + 1, tf.int32
    )
    # Reflected: -1 is 0, as the edge pixel counts twice.
    around = tf.math.floormod(tf.range(side) + moves, 2 * side)
    rows, columns = tf.unstack(tf.minimum(around, 2 * side - 1 - around))
    moved = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(moved, columns, axis=2, batch_dims=1)


# Applied from the first to the last: DVC does not see the order of keys. A change draws by its
# number, which stays its own for ever: a new one takes a new number and alters no other's draws.
CHANGES: dict[int, Callable[..., Images]] = {
    0: flip_horizontal,
    1: flip_vertical,
    2: rotate_and_zoom,
    4: flip_evenly,
    3: shift,
}


def keys(change: Callable[..., Images]) -> list[str]:
    """The keys of params.yaml by which `change` is asked for."""
    parameters = signature(change).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


KEYS = tuple(key for change in CHANGES.values() for key in keys(change))


def augment(images: Images, amounts: Mapping[str, float], draw: Draw) -> Images:
    """`images` float32 (N, H, W, C) with every change of `amounts`, key to amount, applied."""
    for number, change in CHANGES.items():
        if any(key in amounts for key in keys(change)):
            own = draw._replace(seed=tf.random.experimental.stateless_fold_in(draw.seed, number))
            images = change(images, own, **{key: amounts.get(key, 0.0) for key in keys(change)})
    return images


def _chosen(images: Images, probability: float, draw: Draw) -> Any:
    return tf.random.stateless_uniform((tf.shape(images)[0],), draw.seed) < probability


def _select(chosen: Any, these: Images, those: Images) -> Images:
    """Of `these` the images `chosen`, bool (N,), and the others of `those`.

    TensorFlow's first such operation copies whole images; `tf.where` decides anew for every pixel.
    """
    return tf.raw_ops.Select(condition=chosen, x=these, y=those)
