"""A small learnable replacement for CIFAR-10, in the official binary format."""

import hashlib
from pathlib import Path

import numpy as np

from pipeline.datasets import cifar10
from pipeline.datasets.preprocess import write_npz

# A colour and a stripe direction per class survive flips, so augmented training learns them too.
HEX = "c83c3c 3cc83c 3c3cc8 c8c83c c83cc8 3cc8c8 d2d2d2 323232 dc8228 6e46a0"
COLOURS = np.frombuffer(bytes.fromhex(HEX), np.uint8).reshape(-1, 3).astype(np.float64)


def make_images(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (count, 32, 32, 3) and labels uint8 (count,), the classes evenly mixed."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % len(cifar10.CLASSES)).astype(np.uint8)
    stripes = np.where(np.arange(cifar10.SIDE) // 4 % 2, 25.0, -25.0)
    pattern = np.where((labels % 2 == 0)[:, None, None], stripes[:, None], stripes[None, :])
    noise = generator.normal(0, 25, (count, cifar10.SIDE, cifar10.SIDE, 3))
    images = COLOURS[labels][:, None, None, :] + pattern[..., None] + noise
    return np.clip(np.rint(images), 0, 255).astype(np.uint8), labels


def arrays(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same as images float32 in [0, 1] and one-hot labels float32."""
    images, labels = make_images(count, seed=seed)
    return images.astype(np.float32) / 255, np.eye(len(cifar10.CLASSES), dtype=np.float32)[labels]


def write_batches(folder: Path, *, images_per_file: int = 100, seed: int = 0) -> dict[str, str]:
    """Write the six official files into `folder`; returns their SHA-256 by name."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for number, name in enumerate([*cifar10.TRAIN_FILES, *cifar10.TEST_FILES]):
        records = cifar10.encode(*make_images(images_per_file, seed=6 * seed + number))
        (folder / name).write_bytes(records)
        digests[name] = hashlib.sha256(records).hexdigest()
    return digests


def write_splits(folder: Path, **counts: int) -> None:
    """Write `folder`/NAME.npz with COUNT images, as preprocess does."""
    for name, count in counts.items():
        images, labels = arrays(count, seed=count)
        write_npz(folder / f"{name}.npz", images=images, labels=labels)
