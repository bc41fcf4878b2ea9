"""Batches from arrays in memory, shuffled, augmented and resized inside the graph."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from pipeline.training.augmentation import BaseAugmentation, Images, RandomState

Array: TypeAlias = Any  # NumPy's, or a tensor of TensorFlow's, which shares its memory

# Autotuning has nothing to tune here, and its thread sleeps for longer and longer: every epoch's
# end waited for it, both cores idle, up to 5 seconds in the study, 10 and more in longer epochs.
_OPTIONS = tf.data.Options()
_OPTIONS.autotune.enabled = False


class EpochCounter(keras.callbacks.Callback):
    """The current epoch, from 0, as a variable that the graph of the batches reads."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int32, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.epoch.assign(epoch)


def resize(images: Images, size: Any) -> Images:
    """`images` at `size` pixels a side, with antialiasing."""
    return tf.image.resize(images, (size, size), antialias=True)


def training_batches(
    images: Array,
    labels: Array,
    *,
    batch_size: int,
    augmentation: BaseAugmentation,
    image_sizes: Sequence[int],
    seed: int,
    counter: EpochCounter,
) -> tf.data.Dataset:
    """One epoch's batches (images, labels), in another order at each iteration.

    `images` float32 (N, H, W, C), `labels` float32 (N, K). An epoch is every image once, in
    ceil(N / batch_size) batches of which the last may be smaller. Order and augmentation follow
    from `seed`, the epoch and the batch's number alone, so no generator's state needs saving and
    no thread can change them. In epoch e, counted from 0, the augmented images are resized to
    `image_sizes[e]` pixels a side.
    """
    all_images, all_labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    indices = tf.range(len(images))
    full_size = images.shape[1]
    image_uniform = tf.random.stateless_uniform((len(images),), [seed, 1])

    def epoch_seed() -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in([seed, 0], counter.epoch)

    def shuffled_indices(_: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(indices, epoch_seed())
        return tf.data.Dataset.from_tensor_slices(shuffled).batch(batch_size)

    def batch(number: tf.Tensor, selected: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        random_state = RandomState(
            tf.random.experimental.stateless_fold_in(epoch_seed(), number),
            tf.gather(image_uniform, selected),
            tf.cast(counter.epoch, tf.float32),
        )
        gathered = tf.ensure_shape(tf.gather(all_images, selected), (None, *images.shape[1:]))
        augmented = augmentation(gathered, random_state)
        if any(size != full_size for size in image_sizes):
            size = tf.gather(list(image_sizes), counter.epoch)
            augmented = tf.cond(
                size == full_size, lambda: augmented, lambda: resize(augmented, size)
            )
        return augmented, tf.gather(all_labels, selected)

    batches = tf.data.Dataset.range(1).flat_map(shuffled_indices).enumerate().map(batch)
    batches = batches.prefetch(2)  # more are no faster, and take 23 MiB each in `best`
    # Keras takes an epoch of unknown length for an interrupted one, and warns.
    count = math.ceil(len(images) / batch_size)
    batches = batches.apply(tf.data.experimental.assert_cardinality(count))
    return batches.with_options(_OPTIONS)


def validation_batches(images: Array, labels: Array, batch_size: int) -> tf.data.Dataset:
    """`images` float32 (N, H, W, C) and `labels` float32 (N, K) in batches, in their order."""
    all_images, all_labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)

    def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return all_images[start : start + batch_size], all_labels[start : start + batch_size]

    return tf.data.Dataset.range(0, len(images), batch_size).map(batch).with_options(_OPTIONS)
