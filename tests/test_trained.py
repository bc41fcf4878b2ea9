"""Inference: batch size, threads, order and non-finite logits, with a stand-in for the model."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.evaluate import trained
from pipeline.evaluate.manner import PLAIN, Manner
from pipeline.evaluate.views import Views

IMAGES = np.linspace(0, 1, 60, dtype=np.float32).reshape(60, 1, 1, 1) * np.ones((1, 32, 32, 3))


class Model:
    """Its logits are the brightness of each image."""

    input_shape = (None, 32, 32, 3)

    def __init__(self, check: Callable[[np.ndarray], object] = len) -> None:
        self.check = check

    def make_predict_function(self) -> None:
        self.batch_sizes: list[int] = []

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        self.batch_sizes.append(len(batch))
        self.check(batch)
        return np.repeat(batch.mean(axis=(1, 2, 3))[:, None], 10, axis=1).astype(np.float32)


def test_batches_and_order() -> None:
    model = Model()
    logits, one_view = trained.answers(model, IMAGES, batch_size=25, variant="tiny", manner=PLAIN)
    assert sorted(model.batch_sizes) == [10, 25, 25]
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits[:, 3], np.linspace(0, 1, 60), atol=1e-6)
    np.testing.assert_array_equal(logits, one_view)


def test_as_many_batches_at_once_as_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "3")
    barrier = threading.Barrier(3, timeout=20)  # raises when fewer come
    model = Model(lambda _: barrier.wait())
    trained.answers(model, IMAGES, batch_size=10, variant="tiny", manner=PLAIN)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_logits_are_refused(value: float) -> None:
    inference = Manner(Views(mirrored=True, shift=1, sure=0.9), 0.5)
    images = IMAGES.copy()
    images[59] = value
    with pytest.raises(PipelineError, match=r"tiny\.keras: .*repro train@tiny"):
        trained.answers(Model(), images, batch_size=25, variant="tiny", manner=inference)
