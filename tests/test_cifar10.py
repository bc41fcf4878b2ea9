"""The official binary format of CIFAR-10."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import synthetic

from pipeline.base.errors import PipelineError
from pipeline.datasets import cifar10


def record(label: int, red: int, green: int, blue: int) -> bytes:
    return bytes([label]) + b"".join(bytes([level]) * 1024 for level in (red, green, blue))


def test_a_record_is_a_label_and_three_planes_row_by_row() -> None:
    second = bytearray(record(7, 10, 20, 30))
    second[1 + 1024 + 32 * 3 + 5] = 99  # green, row 3, column 5
    images, labels = cifar10.decode(record(0, 1, 2, 3) + bytes(second), "x.bin")
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [0, 7]
    assert images[0, 31, 31].tolist() == [1, 2, 3]
    assert images[1, 3, 5].tolist() == [10, 99, 30]
    assert images[1, 5, 3].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "records", [b"", bytes(1), bytes(3072), bytes(3074), record(9, 0, 0, 0) + record(10, 0, 0, 0)]
)
def test_partial_records_and_labels_above_nine_are_refused(records: bytes) -> None:
    with pytest.raises(PipelineError, match=r"^x\.bin: expected"):
        cifar10.decode(records, "x.bin")


def test_class_names_and_files_are_the_official_ones() -> None:
    assert len(cifar10.CLASSES) == 10
    assert cifar10.CLASSES.index("horse") == 7
    names = [*cifar10.TRAIN_FILES, *cifar10.TEST_FILES]
    assert names == [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]


def test_synthetic_batches_are_balanced_reproducible_and_encoded(tmp_path: Path) -> None:
    digests = synthetic.write_batches(tmp_path / "a", images_per_file=20, seed=3)
    assert digests == synthetic.write_batches(tmp_path / "b", images_per_file=20, seed=3)
    assert digests != synthetic.write_batches(tmp_path / "c", images_per_file=20, seed=4)
    assert len(set(digests.values())) == 6
    for name, digest in digests.items():
        records = (tmp_path / "a" / name).read_bytes()
        images, labels = cifar10.decode(records, name)
        assert hashlib.sha256(records).hexdigest() == digest
        assert np.bincount(labels).tolist() == [2] * 10
        assert cifar10.encode(images, labels) == records
