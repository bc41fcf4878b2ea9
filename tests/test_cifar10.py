"""The official binary format of CIFAR-10."""

import numpy as np

from pipeline.datasets import cifar10


def record(label: int, red: int, green: int, blue: int) -> bytes:
    return bytes([label]) + b"".join(bytes([level]) * 1024 for level in (red, green, blue))


def test_a_record_is_a_label_and_three_planes_row_by_row() -> None:
    second = bytearray(record(7, 10, 20, 30))
    second[1 + 1024 + 32 * 3 + 5] = 99  # green, row 3, column 5
    records = record(0, 1, 2, 3) + bytes(second)
    images, labels = cifar10.decode(records)
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [0, 7]
    assert images[0, 31, 31].tolist() == [1, 2, 3]
    assert images[1, 3, 5].tolist() == [10, 99, 30]
    assert images[1, 5, 3].tolist() == [10, 20, 30]
    assert cifar10.encode(images, labels) == records


def test_class_names_and_files_are_the_official_ones() -> None:
    assert len(cifar10.CLASSES) == 10
    assert cifar10.CLASSES.index("horse") == 7
    names = [*cifar10.TRAIN_FILES, *cifar10.TEST_FILES]
    assert names == [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
