"""Data augmentation inside the graph: the transforms, each image by itself. Imports no TensorFlow.

Files of pipeline/augmentations combine them: each has a class `Augmentation` whose fields are the
keys below a variant's `augmentation`. A variant depends only on the file that its
`augmentation.kind` names, so a new file, with transforms of its own, retrains no other variant.
"""

import math
from typing import Annotated, Any, NamedTuple, Self, TypeAlias

import pydantic

from pipeline.core.params import ConfigModel
from pipeline.runtime import Lazy

tf = Lazy("tensorflow")

Images: TypeAlias = Any  # tensor float32 (N, H, W, C)
Probability = Annotated[float, pydantic.Field(ge=0, le=1)]  # 0 turns a transform off


class RandomState(NamedTuple):
    """The source of randomness of one batch: stateless, so neither threads nor a restart in
    mid-training can change it.

    `seed` int32 (2,) differs in every batch of every epoch. `image_uniform` float32 (N,) in [0, 1)
    is drawn once for each image of the data set, `epoch` float32 () counts from 0.
    """

    seed: Any
    image_uniform: Any
    epoch: Any

    def fold_in(self, number: int) -> Self:
        """An independent state for the transform of that `number`."""
        return self._replace(seed=tf.random.experimental.stateless_fold_in(self.seed, number))


class BaseAugmentation(ConfigModel):
    """The settings that every augmentation has."""

    kind: str

    def __call__(self, images: Images, random_state: RandomState) -> Images:
        """`images` float32 (N, H, W, C) transformed, each by itself."""
        raise NotImplementedError


def random_flip(
    images: Images, probability: float, random_state: RandomState, *, axis: int
) -> Images:
    """Reverse `axis` (1 rows, 2 columns) of each image with the `probability`."""
    uniform = tf.random.stateless_uniform((tf.shape(images)[0],), random_state.seed)
    return _select(uniform < probability, tf.reverse(images, [axis]), images)


def rotate_and_zoom(
    images: Images, rotation: float, zoom: float, random_state: RandomState
) -> Images:
    """Rotate by up to `rotation` full turns either way and scale by 1 - `zoom` to 1 + `zoom`.

    As Keras's RandomRotation followed by RandomZoom (bilinear, edges reflected), but as a single
    resampling: half the work and half the blur.
    """
    uniform: Any = tf.random.stateless_uniform(
        (2, tf.shape(images)[0]), random_state.seed, -1.0, 1.0
    )
    angle = uniform[0] * (rotation * 2 * math.pi)
    scale = 1.0 + uniform[1] * zoom
    cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
    # Around the centre of the pixel grid: input = centre + matrix (output - centre).
    centre = (images.shape[1] - 1) / 2
    zero = tf.zeros_like(angle)
    offset_x = centre - centre * cosine + centre * sine
    offset_y = centre - centre * sine - centre * cosine
    matrix = tf.stack([cosine, -sine, offset_x, sine, cosine, offset_y, zero, zero], axis=1)
    transformed = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrix,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    transformed.set_shape(images.shape)  # static shape is lost in the operation
    return transformed


def alternating_flip(images: Images, share: float, random_state: RandomState) -> Images:
    """Flip left and right in the `share` of the epochs, evenly spread over them.

    With 0.5 an image is flipped in every second epoch, where independent draws would show it the
    same way twice running half of the time. Source: Jordan, airbench, arXiv 2404.00498.
    """
    turns = random_state.image_uniform + random_state.epoch * share
    flipped = tf.math.floormod(turns, 1.0) < share
    return _select(flipped, tf.reverse(images, [2]), images)


def random_translation(images: Images, share: float, random_state: RandomState) -> Images:
    """Translate by up to `share` of the side each way, in whole pixels, edges reflected."""
    side = images.shape[1]
    reach = round(share * side)
    offsets = tf.random.stateless_uniform(
        (2, tf.shape(images)[0], 1), random_state.seed, -reach, reach + 1, tf.int32
    )
    # Reflection with the edge pixel repeated: -1 is 0.
    index = tf.math.floormod(tf.range(side) + offsets, 2 * side)
    rows, columns = tf.unstack(tf.minimum(index, 2 * side - 1 - index))
    translated = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(translated, columns, axis=2, batch_dims=1)


def _select(condition: Any, images: Images, others: Images) -> Images:
    """Where `condition`, bool (N,), the image of `images`, else that of `others`.

    Copies whole images; `tf.where` would decide anew for every pixel.
    """
    return tf.raw_ops.Select(condition=condition, x=images, y=others)
