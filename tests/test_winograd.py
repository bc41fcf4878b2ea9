"""Winograd's convolution computes what Keras's does, for every side and both gradients."""

from typing import Any

import graphs
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")

CHANNELS, FILTERS = 16, 12


def convolution(kind: Any) -> Any:
    """A layer of `kind` whose weights are those of every other."""
    layer = kind(FILTERS, 3, padding="same", use_bias=False)
    layer.build((None, None, None, CHANNELS))
    generator = np.random.default_rng(1)
    layer.set_weights([generator.normal(size=(3, 3, CHANNELS, FILTERS))])
    return layer


def asked(layer: Any, images: np.ndarray, upstream: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs, and the gradients of their products with `upstream`."""
    import tensorflow as tf

    given = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(given)
        outputs = layer(given)
    towards = tape.gradient(outputs, [given, layer.kernel.value], upstream)
    names = ("outputs", "towards images", "towards kernel")
    return dict(zip(names, map(np.asarray, (outputs, *towards)), strict=True))


def drawn(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and what their outputs count."""
    generator = np.random.default_rng(side)
    return (
        generator.normal(size=(3, side, side, CHANNELS)).astype(np.float32),
        generator.normal(size=(3, side, side, FILTERS)).astype(np.float32),
    )


# One tile of every size, and two and more, with and without pixels that are left over.
@pytest.mark.parametrize("side", [*range(1, 18), 31, 33])
def test_is_keras_s_for_every_side(side: int) -> None:
    from keras import layers

    from pipeline.train.winograd import Convolution

    given = drawn(side)
    expected, found = (asked(convolution(kind), *given) for kind in (layers.Conv2D, Convolution))
    for name, values in expected.items():
        error = np.sqrt(np.mean((found[name] - values) ** 2) / np.mean(values**2))
        assert error < 1e-4, f"{name} at {side} pixels"


def test_follows_images_that_grow() -> None:
    """A training draws its graph once, for images of any side."""
    import tensorflow as tf
    from keras import layers

    from pipeline.train.winograd import Convolution

    layer = convolution(Convolution)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, CHANNELS))])
    for side in (5, 7, 15):
        images, _ = drawn(side)
        expected = convolution(layers.Conv2D)(images)
        np.testing.assert_allclose(graph(images), expected, rtol=1e-3, atol=5e-3)


def test_in_bfloat16_is_keras_s_own() -> None:
    """The sums over points would keep one digit of such numbers."""
    import tensorflow as tf

    from pipeline.train.winograd import Convolution

    def operations(precision: str) -> set[str]:
        layer = Convolution(FILTERS, 3, padding="same", use_bias=False, dtype=precision)
        layer.build((None, None, None, CHANNELS))
        drawn = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 7, 7, CHANNELS)))
        return {node.op for node in drawn.graph.as_graph_def().node}

    assert "Conv2D" in operations("mixed_bfloat16")
    assert "Conv2D" not in operations("float32")


def test_stands_once_in_the_graph_of_a_training() -> None:
    """Copies for each micro-batch would take a third of the time of `sprint` to draw; a kernel at
    the points for each, memory."""
    import tensorflow as tf

    from pipeline.train.micro_batches import sharing
    from pipeline.train.winograd import Convolution

    layer = convolution(Convolution)

    def step(images: Any) -> Any:
        with tf.GradientTape() as tape, sharing():
            outputs = [layer(images[start::2]) for start in range(2)]
        return tape.gradient(outputs, layer.kernel.value)

    given = tf.TensorSpec((None, None, None, CHANNELS))
    drawn = tf.function(step).get_concrete_function(given).graph.as_graph_def()
    own, *called = ([node for node in part if "MatMul" in node.op] for part in graphs.parts(drawn))
    assert len(own) == 1  # the kernel at the points
    assert sum(map(len, called)) == 5 + 7  # forwards and backwards, once each
