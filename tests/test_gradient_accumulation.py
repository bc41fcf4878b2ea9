"""A step in micro-batches is the step on the whole batch."""

from itertools import pairwise
from typing import Any

import lazy
import numpy as np
import pytest
import synthetic
from conftest import training_config

from pipeline.networks.airbench import whitening_weights

pytestmark = pytest.mark.usefixtures("tensorflow_started")
CNN = {"widths": [4, 8], "dense": 8, "dropout": 0.0}


def build(variant: str, *steps: int, **settings: Any) -> Any:
    """The network of `variant` for training, by `steps` if any: the sizes of batches and
    micro-batches, and how many of these are parallel."""
    lazy.keras.utils.set_random_seed(1)
    network = training_config(variant, **settings).network
    built = network.build(shape=(32, 32, 3), classes=10, training=True)
    if not steps:
        return built
    model = lazy.gradient_accumulation.GradientAccumulationModel(built.inputs, built.outputs)
    model.batch_size, model.micro_batch_size, model.parallel_micro_batches = steps
    return model


def fit(model: Any, sizes: list[int], class_weight: dict[int, float] | None = None) -> Any:
    """Keras's history of `model` after a step on each of the batches of `sizes`."""
    images, labels = synthetic.arrays(sum(sizes), seed=1)
    model.compile(
        optimizer=lazy.keras.optimizers.SGD(0.5),
        loss=lazy.keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
    )
    edges = list(pairwise(np.cumsum([0, *sizes])))
    # Of unknown length, as the batches of a training.
    batches = lazy.tf.data.Dataset.from_generator(
        lambda: ((images[start:stop], labels[start:stop]) for start, stop in edges),
        output_signature=(lazy.tf.TensorSpec((None, 32, 32, 3)), lazy.tf.TensorSpec((None, 10))),
    ).apply(lazy.tf.data.experimental.assert_cardinality(len(sizes)))
    return model.fit(batches, shuffle=False, verbose=0, class_weight=class_weight).history


@pytest.mark.parametrize(
    ("steps", "sizes", "weighted"),
    [
        ((32, 16, 2), [32, 8], True),  # the study's
        ((32, 16, 2), [32, 32, 1], False),  # fewer images than parallel micro-batches
        ((33, 16, 2), [33], False),  # two groups, the second of a single image
        ((100, 8, 3), [100, 100, 37], True),  # five groups, the last smaller
        ((64, 16, 1), [64, 9], False),  # one at a time
        ((80, 8, 5), [80, 41], False),  # an odd number of parts
        ((128, 8, 8), [128, 70], False),  # two groups of eight
        ((8, 16, 2), [8, 3], False),  # smaller than a micro-batch
    ],
)
def test_weights_and_metrics_are_those_of_whole_batches(
    steps: tuple[int, int, int], sizes: list[int], weighted: bool
) -> None:
    whole, accumulated = build("baseline", **CNN), build("baseline", *steps, **CNN)
    weight = np.linspace(0.2, 3, 10, dtype=np.float32)
    accumulated.class_weight = weight if weighted else None
    before = whole.get_weights()
    expected = fit(whole, sizes, dict(enumerate(map(float, weight))) if weighted else None)
    found = fit(accumulated, sizes)
    for old, one, other in zip(before, whole.get_weights(), accumulated.get_weights(), strict=True):
        assert np.abs(one - old).max() > 1e-3
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5)


def nodes_of(graph: Any) -> list[Any]:
    """The nodes of a GraphDef, and those of each function that it may call."""
    return [*graph.node, *(node for each in graph.library.function for node in each.node_def)]


@pytest.mark.parametrize("steps", [(32, 16, 2), (160, 16, 2), (256, 16, 8)])
def test_order_of_summation_is_fixed_in_the_graph_that_runs(steps: tuple[int, int, int]) -> None:
    """AddN of more than two starts with whichever it may overwrite, a matter of timing."""
    from tensorflow.python.eager.context import context

    # Five blocks: the images of the last convolution have 2x2 pixels.
    model = build("deep", *steps, widths=[4, 4, 4, 4, 4], dense=8)
    context().enable_run_metadata()
    fit(model, [steps[0]])
    executed = context().export_run_metadata().function_graphs
    context().disable_run_metadata()
    nodes = [node for graph in executed for node in nodes_of(graph.post_optimization_graph)]
    assert {node.attr["N"].i for node in nodes if node.op == "AddN"} == {2}


@pytest.mark.parametrize(("batch_size", "loops"), [(64, []), (128, [1])])
def test_graph_has_winograd_and_its_kernel_once_and_groups_one_by_one(
    batch_size: int, loops: list[int]
) -> None:
    """Copies would take a third of the time of `sprint` to trace; groups that overlap hold each
    other's activations."""
    model = build("fast", batch_size, 16, 4, widths=[4])
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    batch = (lazy.tf.TensorSpec((None, 32, 32, 3)), lazy.tf.TensorSpec((None, 10)))
    graph = lazy.tf.function(model.train_step).get_concrete_function(batch).graph
    nodes = nodes_of(graph.as_graph_def())
    # The kernel at the points, four times the dense layer, Winograd forward and backward.
    assert sum("MatMul" in node.op for node in nodes) == 1 + 4 * 3 + 5 + 7
    assert [node.attr["parallel_iterations"].i for node in nodes if "While" in node.op] == loops


def test_moving_statistics_are_those_of_the_last_micro_batch() -> None:
    model = build("fast", 24, 16, 1, widths=[4], normalization_momentum=0.0)
    images, _ = synthetic.arrays(24, seed=1)
    model.get_layer("whitening").set_weights(whitening_weights(images))
    before = lazy.keras.Model(model.inputs, model.get_layer("pooling_1").output)
    expected = np.asarray(before([images[16:]])).mean(axis=(0, 1, 2))
    fit(model, [24])
    found = np.asarray(model.get_layer("normalization_1").moving_mean)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert abs(found).min() > 1e-3
