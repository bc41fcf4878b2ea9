"""A step in micro-batches is the step on the whole batch."""

from itertools import pairwise
from typing import Any

import graphs
import numpy as np
import pytest
import synthetic

from pipeline.networks import plain, whitened
from pipeline.train.variant import Variant

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def network(kind: type[Variant], **settings: Any) -> Any:
    """A network of that kind, for training."""
    import keras

    keras.utils.set_random_seed(1)
    name = kind.__module__.rpartition(".")[2]
    common = {"recipe": "any", "arithmetic": "any", "seed": 1}
    chosen = kind.model_validate({**common, "network": name, "augmentation": {}, **settings})
    return chosen.build(shape=(32, 32, 3), classes=10, training=True)


def split(built: Any, batch_size: int, micro_batch_size: int, at_once: int) -> Any:
    """`built` as a training splits its batches."""
    from pipeline.train.micro_batches import MicroBatched

    network = MicroBatched(built.inputs, built.outputs)
    network.batch_size, network.micro_batch_size, network.at_once = (
        batch_size,
        micro_batch_size,
        at_once,
    )
    return network


def trained(
    network: Any,
    images: np.ndarray,
    labels: np.ndarray,
    sizes: list[int],
    class_weight: dict[int, float] | None = None,
) -> Any:
    """`network` after a step on each of the batches of `sizes`; returns Keras's history."""
    import keras
    import tensorflow as tf

    network.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
    )
    edges = list(pairwise(np.cumsum([0, *sizes])))
    # Of unknown length, as the batches of a training.
    batches = tf.data.Dataset.from_generator(
        lambda: ((images[start:stop], labels[start:stop]) for start, stop in edges),
        output_signature=(tf.TensorSpec((None, 32, 32, 3)), tf.TensorSpec((None, 10))),
    ).apply(tf.data.experimental.assert_cardinality(len(sizes)))
    return network.fit(batches, shuffle=False, verbose=0, class_weight=class_weight).history


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "at_once", "sizes"),
    [
        (32, 16, 2, [32, 8]),  # the study's
        (32, 16, 2, [32, 32, 1]),  # fewer images than stand side by side
        (33, 16, 2, [33]),  # two groups, the second of a single image
        (100, 8, 3, [100, 100, 37]),  # five groups, the last smaller
        (64, 16, 1, [64, 9]),  # one at a time
        (80, 8, 5, [80, 41]),  # an odd number of parts
        (128, 8, 8, [128, 70]),  # two groups of eight
        (8, 16, 2, [8, 3]),  # smaller than a micro-batch
    ],
)
def test_weights_and_figures_are_those_of_whole_batches(
    batch_size: int, micro_batch_size: int, at_once: int, sizes: list[int]
) -> None:
    whole = network(plain.Network, widths=(4, 8), dense=8, dropout=0.0)
    copy = network(plain.Network, widths=(4, 8), dense=8, dropout=0.0)
    copy.set_weights(whole.get_weights())
    parted = split(copy, batch_size, micro_batch_size, at_once)
    before = whole.get_weights()
    images, labels = synthetic.arrays(sum(sizes), seed=1)
    expected, found = (trained(each, images, labels, sizes) for each in (whole, parted))
    for old, one, other in zip(before, whole.get_weights(), parted.get_weights(), strict=True):
        assert np.abs(one - old).max() > 1e-3
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize(("batch_size", "sizes"), [(32, [32, 9]), (100, [100, 37])])
def test_class_weights_are_those_of_keras(batch_size: int, sizes: list[int]) -> None:
    weights = np.linspace(0.2, 3, 10, dtype=np.float32)
    whole, copy, plain_copy = (
        network(plain.Network, widths=(4, 8), dense=8, dropout=0.0) for _ in range(3)
    )
    for each in (copy, plain_copy):
        each.set_weights(whole.get_weights())
    parted = split(copy, batch_size, 16, 2)
    parted.class_weights = weights
    images, labels = synthetic.arrays(sum(sizes), seed=1)
    expected = trained(whole, images, labels, sizes, dict(enumerate(map(float, weights))))
    found = trained(parted, images, labels, sizes)
    without = trained(plain_copy, images, labels, sizes)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["accuracy"] == expected["accuracy"]
    assert found["loss"] != pytest.approx(without["loss"], rel=1e-2)
    for one, other in zip(whole.get_weights(), parted.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)


def test_a_weighted_step_follows_the_plain_gradient_of_the_weighted_loss() -> None:
    import tensorflow as tf

    weights = np.linspace(0.2, 3, 10, dtype=np.float32)
    built = network(plain.Network, widths=(4,), dense=8, dropout=0.0)
    images, labels = synthetic.arrays(40, seed=1)
    smooth = labels * 0.9 + 0.01
    with tf.GradientTape() as tape:
        losses = -tf.reduce_sum(smooth * tf.math.log(built(images, training=True)), axis=1)
        loss = tf.reduce_mean(losses * weights[labels.argmax(axis=1)])
    gradients = tape.gradient(loss, built.trainable_variables)
    pairs = zip(built.get_weights(), gradients, strict=True)
    expected = [before - 0.5 * np.asarray(gradient) for before, gradient in pairs]
    parted = split(built, 40, 16, 2)
    parted.class_weights = weights
    history = trained(parted, images, labels, [40])
    assert history["loss"] == pytest.approx([float(loss)], rel=1e-5)
    for found, one in zip(parted.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, one, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("batch_size", "at_once"), [(32, 2), (160, 2), (256, 8)])
def test_no_sum_in_the_graph_that_runs_depends_on_the_moment(batch_size: int, at_once: int) -> None:
    """AddN of more than two begins with whichever it may overwrite, which is a matter of timing."""
    from tensorflow.python.eager import context

    # Five blocks: the last convolution's images have 2x2 pixels.
    built = network(plain.Network, widths=(4, 4, 4, 4, 4), dense=8, dropout=0.5)
    context.context().enable_run_metadata()
    parted = split(built, batch_size, 16, at_once)
    trained(parted, *synthetic.arrays(batch_size, seed=1), [batch_size])
    ran = context.context().export_run_metadata().function_graphs
    context.context().disable_run_metadata()
    nodes = [
        node
        for graph in (each.post_optimization_graph for each in ran)
        for part in graphs.parts(graph)
        for node in part
    ]
    assert {node.attr["N"].i for node in nodes if node.op == "AddN"} == {2}


@pytest.mark.parametrize("batch_size", [64, 128])
def test_micro_batches_side_by_side_share_kernels(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps them for the way back otherwise."""
    from pipeline.train import winograd

    drawn: list[Any] = []
    own = winograd._at_points

    def counted(kernel: Any, side: Any) -> Any:
        drawn.append(kernel)
        return own(kernel, side)

    monkeypatch.setattr(winograd, "_at_points", counted)

    def count(size: int, at_once: int) -> int:
        built = network(whitened.Network, widths=(4,), normalization_momentum=0.6)
        drawn.clear()
        images = synthetic.arrays(batch_size, seed=1)
        trained(split(built, batch_size, size, at_once), *images, [batch_size])
        return len(drawn)

    assert count(16, 4) == count(64, 1) > 0


def test_groups_of_micro_batches_do_not_overlap() -> None:
    """TensorFlow would hold the images of the next group, too."""
    import tensorflow as tf

    built = network(plain.Network, widths=(4,), dense=8, dropout=0.0)
    parted = split(built, 64, 16, 2)
    parted.compile(optimizer="sgd", loss="categorical_crossentropy")
    given = (tf.TensorSpec((None, 32, 32, 3)), tf.TensorSpec((None, 10)))
    drawn = tf.function(parted.train_step).get_concrete_function(given).graph.as_graph_def()
    loops = [
        node
        for part in graphs.parts(drawn)
        for node in part
        if node.op in ("While", "StatelessWhile")
    ]
    assert [loop.attr["parallel_iterations"].i for loop in loops] == [1]


def test_layers_work_as_in_training() -> None:
    """Statistics are those of the last of the micro-batches that came one after another."""
    import keras

    built = network(whitened.Network, widths=(4,), normalization_momentum=0.0)
    images, labels = synthetic.arrays(24, seed=1)
    built.get_layer("whitening").set_weights(whitened.whitening_weights(images))
    before = keras.Model(built.inputs[0], built.get_layer("pooling_1").output)
    normalized = np.asarray(before(images[16:]))
    trained(split(built, 24, 16, 1), images, labels, [24])
    found = np.asarray(built.get_layer("normalization_1").moving_mean)
    np.testing.assert_allclose(found, normalized.mean(axis=(0, 1, 2)), atol=1e-5)
    assert abs(found).min() > 1e-3


def test_dropout_drops() -> None:
    images, labels = synthetic.arrays(16, seed=1)
    built = network(plain.Network, widths=(4,), dense=64, dropout=0.99)
    before = built.get_layer("dense").get_weights()[0]
    trained(split(built, 16, 16, 1), images, labels, [16])
    moved = (built.get_layer("dense").get_weights()[0] != before).any(axis=0)
    assert 0 < moved.sum() < 20  # of 64 units; one in seven is kept for any of the 16 images
