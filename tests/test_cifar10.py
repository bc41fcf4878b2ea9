"""The official binary format: layout, both directions, and refusal of damage."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import synthetic

from pipeline.base.errors import PipelineError
from pipeline.data import cifar10


def record(label: int, red: int, green: int, blue: int) -> bytes:
    return bytes([label]) + b"".join(bytes([level]) * 1024 for level in (red, green, blue))


def test_decode_reads_label_then_planes_row_by_row() -> None:
    odd = bytearray(record(7, 10, 20, 30))
    odd[1 + 1024 + 32 * 3 + 5] = 99  # green, row 3, column 5
    images, labels = cifar10.decode(record(0, 1, 2, 3) + bytes(odd), "x.bin")
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [0, 7]
    assert images[0, 31, 31].tolist() == [1, 2, 3]
    assert images[1, 3, 5].tolist() == [10, 99, 30]
    assert images[1, 5, 3].tolist() == [10, 20, 30]


def test_encode_inverts_decode() -> None:
    images, labels = synthetic.make_images(30, seed=1)
    records = cifar10.encode(images, labels)
    assert len(records) == 30 * 3073
    again = cifar10.decode(records, "x.bin")
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)


@pytest.mark.parametrize("length", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_decode_refuses_partial_records(length: int) -> None:
    with pytest.raises(PipelineError, match=rf"x\.bin: expected.*3073.*found {length} bytes"):
        cifar10.decode(bytes(length), "x.bin")


def test_decode_refuses_labels_above_nine() -> None:
    with pytest.raises(
        PipelineError, match=r"x\.bin: expected labels 0 to 9, found 10 in record 1"
    ):
        cifar10.decode(record(9, 0, 0, 0) + record(10, 0, 0, 0), "x.bin")


def test_classes_and_files_are_the_official_ones() -> None:
    assert len(cifar10.CLASSES) == 10
    assert cifar10.CLASSES.index("horse") == 7
    names = [*cifar10.TRAIN_FILES, *cifar10.TEST_FILES]
    assert names == [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]


def test_synthetic_batches_are_balanced_and_reproducible(tmp_path: Path) -> None:
    digests = synthetic.write_batches(tmp_path / "a", images_per_file=20, seed=3)
    assert digests == synthetic.write_batches(tmp_path / "b", images_per_file=20, seed=3)
    assert len(set(digests.values())) == 6
    assert digests != synthetic.write_batches(tmp_path / "c", images_per_file=20, seed=4)
    for name, digest in digests.items():
        records = (tmp_path / "a" / name).read_bytes()
        assert hashlib.sha256(records).hexdigest() == digest
        assert np.bincount(cifar10.decode(records, name)[1]).tolist() == [2] * 10
