"""Batches, gathered inside the graph from arrays that lie in memory, augmented for training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from pipeline.train.augment import Draw, Images, augment

Array: TypeAlias = Any  # NumPy's, or a tensor of TensorFlow's, which then shares its memory

# There is nothing to tune, and the tuner's thread sleeps for longer and longer. Every epoch's end
# waited for it, both cores idle: up to 5 seconds in the study, 10 and more in longer epochs.
_UNTUNED = tf.data.Options()
_UNTUNED.autotune.enabled = False


class EpochClock(keras.callbacks.Callback):
    """Tells the batches which epoch it is, as a variable that their graph reads."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int32, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.epoch.assign(epoch)


def scaled(images: Images, side: Any) -> Images:
    """`images` at `side` pixels a side, each the mean of the area it covers."""
    return tf.image.resize(images, (side, side), antialias=True)


def training_batches(
    images: Array,
    labels: Array,
    *,
    batch_size: int,
    amounts: Mapping[str, float],
    sides: Sequence[int],
    seed: int,
    clock: EpochClock,
) -> tf.data.Dataset:
    """One epoch's batches (images, labels), in another order at each iteration.

    `images` float32 (N, H, W, C), `labels` float32 (N, K). An epoch is every image once, in
    ceil(N / batch_size) batches of which the last may be smaller. Order and augmentation follow
    from `seed`, the clock's epoch and the batch's number alone, so no generator's state needs
    saving and no thread can change them. In epoch e, counted from 0, the augmented images are
    scaled to `sides[e]` pixels a side.
    """
    all_images, all_labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    positions = tf.range(len(images))
    whole = images.shape[1]
    first_draws = tf.random.stateless_uniform((len(images),), [seed, 1])

    def epoch_seed() -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in([seed, 0], clock.epoch)

    def order(_: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(positions, epoch_seed())
        return tf.data.Dataset.from_tensor_slices(shuffled).batch(batch_size)

    def batch(number: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = tf.random.experimental.stateless_fold_in(epoch_seed(), number)
        picked = tf.ensure_shape(tf.gather(all_images, chosen), (None, *images.shape[1:]))
        first, epoch = tf.gather(first_draws, chosen), tf.cast(clock.epoch, tf.float32)
        augmented = augment(picked, amounts, Draw(drawn, first, epoch))
        if any(side != whole for side in sides):
            side = tf.gather(list(sides), clock.epoch)
            augmented = tf.cond(side == whole, lambda: augmented, lambda: scaled(augmented, side))
        return augmented, tf.gather(all_labels, chosen)

    batches = tf.data.Dataset.range(1).flat_map(order).enumerate().map(batch)
    batches = batches.prefetch(2)  # more are no quicker, and of `best` 23 MiB each
    # Keras takes an epoch of unknown length for one that broke off, and warns.
    count = math.ceil(len(images) / batch_size)
    batches = batches.apply(tf.data.experimental.assert_cardinality(count))
    return batches.with_options(_UNTUNED)


def validation_batches(images: Array, labels: Array, batch_size: int) -> tf.data.Dataset:
    """`images` float32 (N, H, W, C) and `labels` float32 (N, K) in batches, in their order."""
    all_images, all_labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)

    def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return all_images[start : start + batch_size], all_labels[start : start + batch_size]

    return tf.data.Dataset.range(0, len(images), batch_size).map(batch).with_options(_UNTUNED)
