"""Gradient accumulation: a step on one batch, computed in micro-batches."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

# Tensors that the micro-batches of one group share while the graph is traced; None outside.
_STEP_CACHE: ContextVar[dict[Hashable, Any] | None] = ContextVar("step_cache", default=None)


@contextmanager
def step_cache() -> Iterator[None]:
    """In its block, `cached` computes each key once."""
    token = _STEP_CACHE.set({})
    try:
        yield
    finally:
        _STEP_CACHE.reset(token)


def cached(key: Hashable, compute: Callable[[], Any]) -> Any:
    """The result of `compute`, once for all micro-batches of a group."""
    cache = _STEP_CACHE.get()
    if cache is None:
        return compute()
    if key not in cache:
        cache[key] = compute()
    return cache[key]


class GradientAccumulationModel(keras.Model):
    """A functional model whose training step accumulates the gradients of micro-batches.

    The gradient of a batch's mean loss is the sum of its micro-batches' gradients, so the
    mathematics is that of the whole batch (but for batch normalization, whose statistics are those
    of a micro-batch). `parallel_micro_batches` of them form a group, independent branches of the
    graph that inter-op threads compute in parallel. They are summed in a fixed order, so the number
    of threads does not change the bits.
    """

    batch_size: int
    micro_batch_size: int
    parallel_micro_batches: int
    class_weight: Any = None  # float32 (K,), weight of each class in the loss; None: 1

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras's training step; `data` are images and one-hot labels."""
        images, labels = data
        count = tf.shape(images)[0]
        group = self.micro_batch_size * self.parallel_micro_batches
        if self.batch_size <= group:  # without the overhead of a loop, which small networks feel
            gradients, loss, predicted = self._compute_group(images, labels, count)
        else:
            gradients, loss, predicted = self._accumulate(images, labels, count, group)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=count)
            else:
                metric.update_state(labels, predicted)
        return dict(self.get_metrics_result())

    def _accumulate(self, images: Any, labels: Any, count: Any, group: int) -> tuple[Any, Any, Any]:
        """Gradients, loss and predictions of a batch of `count` images, group by group."""

        def body(start: Any, gradients: Any, loss: Any, predicted: Any) -> tuple[Any, ...]:
            stop = tf.minimum(start + group, count)
            more, part, last = self._compute_group(images[start:stop], labels[start:stop], count)
            summed = [old + _flatten(new) for old, new in zip(gradients, more, strict=True)]
            return stop, summed, loss + _flatten(part), tf.concat([predicted, last], axis=0)

        zeros = [_flatten(tf.zeros(variable.shape)) for variable in self.trainable_variables]
        initial = (tf.constant(0), zeros, tf.zeros((1, 1)), tf.zeros((0, labels.shape[1])))
        _, gradients, loss, predicted = tf.while_loop(
            lambda start, *_: start < count,
            body,
            initial,
            shape_invariants=(
                tf.TensorShape([]),
                [total.shape for total in zeros],
                tf.TensorShape([1, 1]),
                tf.TensorShape([None, labels.shape[1]]),
            ),
            # With TensorFlow's default of ten, the next group would start before the last has
            # ended and hold its activations, too: 0.3 GiB of `best` on eight threads.
            parallel_iterations=1,
        )
        gradients = [
            tf.reshape(total, variable.shape)
            for total, variable in zip(gradients, self.trainable_variables, strict=True)
        ]
        return gradients, tf.squeeze(loss), predicted

    def _compute_group(self, images: Any, labels: Any, count: Any) -> tuple[Any, Any, Any]:
        """The same of one group, split as evenly as possible."""
        size = tf.shape(images)[0]
        edges = [
            size * part // self.parallel_micro_batches
            for part in range(self.parallel_micro_batches + 1)
        ]
        with step_cache():
            parts = [
                self._compute_micro_batch(images, labels, start, stop, count)
                for start, stop in pairwise(edges)
            ]
        gradients, losses, predicted = zip(*parts, strict=True)
        summed = [
            _sum(same, variable.shape)
            for variable, *same in zip(self.trainable_variables, *gradients, strict=True)
        ]
        return summed, _sum(losses, ()), tf.concat(predicted, axis=0)

    def _compute_micro_batch(
        self, images: Any, labels: Any, start: Any, stop: Any, count: Any
    ) -> tuple[Any, Any, Any]:
        """The same of the micro-batch from `start` to `stop`, weighted by its share of `count`."""
        # oneDNN's operations fail on zero images: an empty micro-batch gets one of weight 0.
        window = slice(start, tf.maximum(stop, start + 1))
        with tf.GradientTape() as tape:
            predicted = self(images[window], training=True)
            share = (stop - start) / count
            loss = self.compute_loss(
                y=labels[window],
                y_pred=predicted,
                sample_weight=self._sample_weight(labels[window]),
            )
            loss *= tf.cast(share, tf.float32)
        gradients = tape.gradient(loss, self.trainable_variables)
        return gradients, loss, predicted[: stop - start]

    def _sample_weight(self, labels: Any) -> Any:
        """The weight of each image, (N,), by its one-hot label of `labels` (N, K)."""
        if self.class_weight is None:
            return None
        return tf.gather(self.class_weight, tf.argmax(labels, axis=1))


def _sum(parts: Sequence[Any], shape: Sequence[int]) -> Any:
    """The sum of tensors of one `shape` in pairs: ((a + b) + (c + d)) + ..."""
    level = 0
    while len(parts) > 1:
        level += 1
        sums = map(tf.add_n, zip(parts[::2], parts[1::2], strict=False))
        odd = parts[len(parts) // 2 * 2 :]
        parts = [_reshape_for_level(part, level) for part in (*sums, *odd)]
    return tf.reshape(parts[0], shape)


def _flatten(part: Any) -> Any:
    """`part` as a row, the shape in which groups are accumulated."""
    return _reshape_for_level(part, 1)


def _reshape_for_level(part: Any, level: int) -> Any:
    """`part` in another shape at each `level`, as TensorFlow fuses nested sums of one shape into a
    single AddN.

    AddN adds three or more tensors starting with whichever buffer it may overwrite first, so the
    last bits could vary from run to run.
    """
    return tf.reshape(part, (*[1] * level, -1))
