"""The official binary version of CIFAR-10: its classes, files and record layout.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. A record is one
label byte, then 1,024 red, 1,024 green and 1,024 blue bytes, each plane row by row.
"""

import numpy as np

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
FILE_RECORDS = 10_000

# SHA-256 of the six files. They identify the data set, so every mirror gives the same dvc.lock.
TRAIN_FILES = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
}
TEST_FILES = {"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"}


def decode(records: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The records of batch files as images uint8 (N, 32, 32, 3) and labels uint8 (N,)."""
    table = np.frombuffer(records, np.uint8).reshape(-1, RECORD_BYTES)
    planes = table[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), table[:, 0]


def encode(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The inverse of `decode`: images uint8 (N, 32, 32, 3) and labels (N,) as records."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.hstack([labels.astype(np.uint8)[:, None], planes]).astype(np.uint8).tobytes()
