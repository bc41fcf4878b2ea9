"""Training batches, gathered and augmented inside the graph from arrays that lie in memory."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.augment import augment
from pipeline.settings import Augmentation


class EpochClock(keras.callbacks.Callback):
    """Tells the batches which epoch it is, as a variable that their graph reads."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int32, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.epoch.assign(epoch)


def training_batches(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    amounts: Mapping[Augmentation, float],
    seed: int,
    clock: EpochClock,
) -> tf.data.Dataset:
    """One epoch's batches (images, labels), in another order at each iteration.

    `images` float32 (N, 32, 32, 3), `labels` float32 (N, 10). An epoch is every image once, in
    ceil(N / batch_size) batches of which the last may be smaller. Order and augmentation follow
    from `seed`, the clock's epoch and the batch's number alone, so no generator's state needs
    saving and no thread can change them.
    """
    all_images, all_labels = tf.constant(images), tf.constant(labels)
    positions = tf.range(len(images))

    def epoch_seed() -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in([seed, 0], clock.epoch)

    def order(_: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(positions, epoch_seed())
        return tf.data.Dataset.from_tensor_slices(shuffled).batch(batch_size)

    def batch(number: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = tf.random.experimental.stateless_fold_in(epoch_seed(), number)
        picked = tf.ensure_shape(tf.gather(all_images, chosen), (None, *images.shape[1:]))
        return augment(picked, amounts, drawn), tf.gather(all_labels, chosen)

    batches = tf.data.Dataset.range(1).flat_map(order).enumerate().map(batch).prefetch(4)
    # Keras takes an epoch of unknown length for one that broke off, and warns.
    count = math.ceil(len(images) / batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(count))
