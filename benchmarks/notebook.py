"""The study's four networks trained as its notebook did: `fit` on arrays, nothing else set.

TensorFlow then takes all cores and the widest instructions. `python benchmarks/notebook.py NETWORK
IMAGES EPOCHS` prints the seconds of each epoch as JSON; benchmarks/training_speed.py calls it.
"""

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from keras import layers

# Augmentation in the study's order, convolution widths, dense units, dropout.
NETWORKS: dict[str, tuple[list[Any], tuple[int, ...], int, float]] = {
    "baseline": ([], (16,), 16, 0.0),
    "improved": (
        [
            layers.RandomFlip("horizontal"),
            layers.RandomFlip("vertical"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
        ],
        (16, 32, 64),
        64,
        0.0,
    ),
    "deep": ([], (16, 32, 64, 128, 256), 1024, 0.5),
    "final": (
        [layers.RandomFlip("vertical"), layers.RandomFlip("horizontal")],
        (16, 32, 64, 128, 256),
        512,
        0.0,
    ),
}


class Clock(keras.callbacks.Callback):
    """The seconds of each epoch, validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.monotonic())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds[-1] = time.monotonic() - self.seconds[-1]


def network(name: str) -> keras.Model:
    augmentation, widths, dense, dropout = NETWORKS[name]
    stack: list[Any] = [keras.Input((32, 32, 3)), *augmentation]
    for width in widths:
        stack += [
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        ]
    stack += [layers.Flatten(), layers.Dense(dense, activation="relu")]
    stack += [layers.Dropout(dropout)] if dropout else []
    return keras.Sequential([*stack, layers.Dense(10, activation="softmax")])


def noise(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (count, 32, 32, 3) and one-hot labels; what they show costs no time."""
    generator = np.random.default_rng(0)
    images = generator.random((count, 32, 32, 3), np.float32)
    return images, np.eye(10, dtype=np.float32)[generator.integers(10, size=count)]


def main(name: str, images: int, epochs: int) -> None:
    model, clock = network(name), Clock()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        *noise(images),
        batch_size=32,
        epochs=epochs,
        validation_data=noise(images // 9),  # 5,000 for 45,000
        callbacks=[clock],
        verbose=0,
    )
    print(json.dumps(clock.seconds))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
