"""The quicker Adam moves weights as Keras's own does."""

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def test_adam_is_keras_s() -> None:
    import keras

    from pipeline.train.optimizers.adam import FusedAdam

    generator = np.random.default_rng(1)
    shapes = [(3, 3, 3, 8), (8,), (20, 10)]
    starts = [generator.normal(size=shape).astype(np.float32) for shape in shapes]
    steps = [[generator.normal(0, 10.0**-step, shape) for shape in shapes] for step in range(8)]

    def after(optimizer: Any) -> list[np.ndarray]:
        variables = [keras.Variable(start) for start in starts]
        for gradients in steps:
            pairs = zip(map(keras.ops.convert_to_tensor, gradients), variables, strict=True)
            optimizer.apply_gradients((keras.ops.cast(g, "float32"), v) for g, v in pairs)
        return [variable.numpy() for variable in variables]

    expected, found = after(keras.optimizers.Adam(0.01)), after(FusedAdam(0.01))
    for start, one, other in zip(starts, expected, found, strict=True):
        assert np.abs(one - start).max() > 0.03
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-6)
