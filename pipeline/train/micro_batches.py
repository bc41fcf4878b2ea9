"""A step on one batch, computed in micro-batches whose gradients are added up."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

# What the micro-batches that are being drawn have in common; None where each stands alone.
_COMMON: ContextVar[dict[Hashable, Any] | None] = ContextVar("common", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """In its block, `shared` makes a thing once."""
    outer = _COMMON.set({})
    try:
        yield
    finally:
        _COMMON.reset(outer)


def shared(key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` gives, the same for all micro-batches that stand side by side in the graph."""
    known = _COMMON.get()
    if known is None:
        return make()
    if key not in known:
        known[key] = make()
    return known[key]


class MicroBatched(keras.Model):
    """A functional network whose training step splits each batch.

    The gradient of a batch's mean loss is the sum of its micro-batches' gradients, so the
    mathematics is that of the whole batch (but for batch normalisation, whose statistics are those
    of a micro-batch). `at_once` micro-batches stand side by side in the graph, so that up to as
    many threads of TensorFlow work on them. However many do, they are added in a fixed order, which
    keeps the bits.
    """

    batch_size: int
    micro_batch_size: int
    at_once: int
    class_weights: Any = None  # float32 (K,), how much an image of each class counts; None: 1

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras's own step, whose metrics it keeps; `data` are images and one-hot labels."""
        images, labels = data
        count = tf.shape(images)[0]
        group = self.micro_batch_size * self.at_once
        if self.batch_size <= group:  # no loop, whose bookkeeping small networks feel
            gradients, loss, predicted = self._group(images, labels, count)
        else:
            gradients, loss, predicted = self._groups(images, labels, count, group)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=count)
            else:
                metric.update_state(labels, predicted)
        return dict(self.get_metrics_result())

    def _groups(self, images: Any, labels: Any, count: Any, group: int) -> tuple[Any, Any, Any]:
        """Gradients, loss and predictions of a batch of `count` images, group after group."""

        def body(start: Any, gradients: Any, loss: Any, predicted: Any) -> tuple[Any, ...]:
            stop = tf.minimum(start + group, count)
            more, part, found = self._group(images[start:stop], labels[start:stop], count)
            summed = [old + _row(new) for old, new in zip(gradients, more, strict=True)]
            return stop, summed, loss + _row(part), tf.concat([predicted, found], axis=0)

        nothing = [_row(tf.zeros(variable.shape)) for variable in self.trainable_variables]
        begin = (tf.constant(0), nothing, tf.zeros((1, 1)), tf.zeros((0, labels.shape[1])))
        _, gradients, loss, predicted = tf.while_loop(
            lambda start, *_: start < count,
            body,
            begin,
            shape_invariants=(
                tf.TensorShape([]),
                [total.shape for total in nothing],
                tf.TensorShape([1, 1]),
                tf.TensorShape([None, labels.shape[1]]),
            ),
            # Of ten, TensorFlow's default, the second group would begin while the first ends, its
            # images in memory too: 0.3 GiB of `best` on eight threads.
            parallel_iterations=1,
        )
        gradients = [
            tf.reshape(total, variable.shape)
            for total, variable in zip(gradients, self.trainable_variables, strict=True)
        ]
        return gradients, tf.squeeze(loss), predicted

    def _group(self, images: Any, labels: Any, count: Any) -> tuple[Any, Any, Any]:
        """The same of one group, cut into `at_once` parts as equal as may be."""
        size = tf.shape(images)[0]
        edges = [size * part // self.at_once for part in range(self.at_once + 1)]
        with sharing():
            parts = [
                self._part(images, labels, start, stop, count) for start, stop in pairwise(edges)
            ]
        gradients, losses, predicted = zip(*parts, strict=True)
        summed = [
            _sum(same, variable.shape)
            for variable, *same in zip(self.trainable_variables, *gradients, strict=True)
        ]
        return summed, _sum(losses, ()), tf.concat(predicted, axis=0)

    def _part(
        self, images: Any, labels: Any, start: Any, stop: Any, count: Any
    ) -> tuple[Any, Any, Any]:
        """The same of the micro-batch from `start` to `stop`, weighted by its share of `count`."""
        # oneDNN's operations fail on no image, so a part that has none gets one of no weight.
        shown = slice(start, tf.maximum(stop, start + 1))
        with tf.GradientTape() as tape:
            predicted = self(images[shown], training=True)
            share = (stop - start) / count
            loss = self.compute_loss(
                y=labels[shown], y_pred=predicted, sample_weight=self._weights(labels[shown])
            )
            loss *= tf.cast(share, tf.float32)
        gradients = tape.gradient(loss, self.trainable_variables)
        return gradients, loss, predicted[: stop - start]

    def _weights(self, labels: Any) -> Any:
        """How much each image counts, (N,), by its one-hot label of `labels` (N, K)."""
        if self.class_weights is None:
            return None
        return tf.gather(self.class_weights, tf.argmax(labels, axis=1))


def _sum(parts: Sequence[Any], shape: Sequence[int]) -> Any:
    """The sum of tensors of one `shape`, pair by pair: ((a + b) + (c + d)) + ..."""
    level = 0
    while len(parts) > 1:
        level += 1
        sums = map(tf.add_n, zip(parts[::2], parts[1::2], strict=False))
        odd = parts[len(parts) // 2 * 2 :]
        parts = [_apart(part, level) for part in (*sums, *odd)]
    return tf.reshape(parts[0], shape)


def _row(part: Any) -> Any:
    """`part` as it is added to the sum over groups."""
    return _apart(part, 1)


def _apart(part: Any, level: int) -> Any:
    """`part` in another shape at each `level`: of sums upon sums of one shape TensorFlow makes a
    single AddN.

    That adds three or more tensors beginning with whichever it may overwrite first, so the last
    bits could depend on the moment.
    """
    return tf.reshape(part, (*[1] * level, -1))
