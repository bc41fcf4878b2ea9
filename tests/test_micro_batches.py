"""A step in micro-batches is the step on the whole batch."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import synthetic

pytestmark = pytest.mark.usefixtures("tensorflow_started")
KNOBS: dict[str, Any] = {"widths": [4, 8], "dense": 8, "dropout": 0.0}


def arrays(count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = synthetic.make_images(count, seed=count)
    return images.astype(np.float32) / 255, np.eye(10, dtype=np.float32)[labels]


def trained(network: Any, images: np.ndarray, labels: np.ndarray, sizes: list[int]) -> Any:
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
    return network.fit(batches, shuffle=False, verbose=0).history


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "at_once", "sizes"),
    [
        (32, 16, 2, [32, 8]),  # the study's
        (32, 16, 2, [32, 32, 1]),  # fewer images than stand side by side
        (33, 16, 2, [33]),  # two groups, the second of a single image
        (100, 8, 3, [100, 100, 37]),  # five groups, the last smaller
        (64, 16, 1, [64, 9]),  # one at a time
        (8, 16, 2, [8, 3]),  # smaller than a micro-batch
    ],
)
def test_weights_and_figures_are_those_of_whole_batches(
    batch_size: int, micro_batch_size: int, at_once: int, sizes: list[int]
) -> None:
    import keras

    from pipeline import networks
    from pipeline.micro_batches import MicroBatched

    keras.utils.set_random_seed(1)
    whole = networks.plain(**KNOBS, training=True)
    copy = networks.plain(**KNOBS, training=True)
    copy.set_weights(whole.get_weights())
    split = MicroBatched(copy.inputs, copy.outputs)
    split.batch_size, split.micro_batch_size, split.at_once = batch_size, micro_batch_size, at_once
    before = whole.get_weights()
    images, labels = arrays(sum(sizes))
    expected, found = (trained(network, images, labels, sizes) for network in (whole, split))
    for old, one, other in zip(before, whole.get_weights(), split.get_weights(), strict=True):
        assert np.abs(one - old).max() > 1e-3
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize("batch_size", [32, 160])
def test_no_sum_in_the_graph_that_runs_depends_on_the_moment(batch_size: int) -> None:
    """AddN of more than two begins with whichever it may overwrite, which is a matter of timing."""
    from tensorflow.python.eager import context

    from pipeline import networks
    from pipeline.micro_batches import MicroBatched

    # Five blocks: the last convolution's images have 2x2 pixels.
    built = networks.plain(widths=[4, 4, 4, 4, 4], dense=8, dropout=0.5, training=True)
    network = MicroBatched(built.inputs, built.outputs)
    network.batch_size, network.micro_batch_size, network.at_once = batch_size, 16, 2
    context.context().enable_run_metadata()
    trained(network, *arrays(batch_size), [batch_size])
    graphs = context.context().export_run_metadata().function_graphs
    context.context().disable_run_metadata()
    nodes = [
        node
        for graph in (graph.post_optimization_graph for graph in graphs)
        for part in (graph.node, *(function.node_def for function in graph.library.function))
        for node in part
    ]
    assert {node.attr["N"].i for node in nodes if node.op == "AddN"} == {2}
