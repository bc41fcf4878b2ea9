"""Asking a trained model: a stand-in says how it was asked."""

from types import SimpleNamespace

import numpy as np

from pipeline.evaluate import trained
from pipeline.evaluate.views import ONE


def test_a_model_is_asked_in_batches_of_the_size_that_decides_its_bits() -> None:
    asked: list[int] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        asked.append(len(batch))
        return np.full((len(batch), 10), 0.1, np.float32)

    def evaluate(*_: np.ndarray, batch_size: int, verbose: int) -> float:
        asked.append(batch_size)
        return 0.5

    model = SimpleNamespace(
        input_shape=(None, 32, 32, 3),
        output_shape=(None, 10),
        predict_on_batch=predict,
        compile=lambda loss: None,
        evaluate=evaluate,
    )
    images, labels = np.zeros((60, 32, 32, 3), np.float32), np.zeros((60, 10), np.float32)
    trained.probabilities(model, images, batch_size=25, variant="tiny", seen=ONE)
    assert trained.cross_entropy(model, images, labels, batch_size=25) == 0.5
    assert asked == [25, 25, 10, 25]
