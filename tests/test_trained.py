"""Asking a trained model: a stand-in says how it was asked."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.evaluate import trained
from pipeline.evaluate.manner import PLAIN, Manner
from pipeline.evaluate.views import Views

IMAGES = np.linspace(0, 1, 60, dtype=np.float32).reshape(60, 1, 1, 1) * np.ones((1, 32, 32, 3))


class Model(SimpleNamespace):
    """Gives each image's brightness for each class, and keeps how many it was asked about."""

    input_shape = (None, 32, 32, 3)
    output_shape = (None, 10)

    def make_predict_function(self) -> None:
        self.asked: list[int] = []

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        self.asked.append(len(batch))
        return np.repeat(batch.mean(axis=(1, 2, 3))[:, None], 10, axis=1).astype(np.float32)


def test_a_model_is_asked_in_batches_of_the_size_that_decides_its_bits() -> None:
    model = Model()
    found, alone = trained.answers(model, IMAGES, batch_size=25, variant="tiny", manner=PLAIN)
    assert sorted(model.asked) == [10, 25, 25]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[:, 3], np.linspace(0, 1, 60), atol=1e-6)  # in their order
    np.testing.assert_array_equal(found, alone)


def test_as_many_batches_are_asked_about_at_once_as_there_are_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("THREADS", "3")
    together = threading.Barrier(3, timeout=20)

    class Waiting(Model):
        def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
            together.wait()  # raises when fewer come
            return super().predict_on_batch(batch)

    trained.answers(Waiting(), IMAGES, batch_size=10, variant="tiny", manner=PLAIN)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_refused(wrong: float) -> None:
    class Diverged(Model):
        def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
            return np.full((len(batch), 10), wrong, np.float32)

    how = Manner(Views(mirrored=True, shift=1, sure=0.9), 0.5)
    with pytest.raises(PipelineError, match=r"tiny\.keras: expected finite numbers .*repro train@"):
        trained.answers(Diverged(), IMAGES, batch_size=25, variant="tiny", manner=how)
