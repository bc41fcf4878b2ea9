"""A data set of six times twenty records, in every form that the pipeline can fetch it in."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import synthetic
from PIL import Image

from pipeline.datasets import cifar10

RECORDS = 20


def tiny_dataset(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, bytes]:
    """Make six generated files the official ones; returns their content by name."""
    digests = synthetic.write_batches(folder, images_per_file=RECORDS)
    test = {name: digests[name] for name in cifar10.TEST_FILES}
    train = {name: digests[name] for name in cifar10.TRAIN_FILES}
    monkeypatch.setattr(cifar10, "FILE_RECORDS", RECORDS)
    monkeypatch.setattr(cifar10, "TRAIN_FILES", train)
    monkeypatch.setattr(cifar10, "TEST_FILES", test)
    return {name: (folder / name).read_bytes() for name in digests}


def tar(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def binary_archive(batches: dict[str, bytes]) -> bytes:
    members = {f"cifar-10-batches-bin/{name}": content for name, content in batches.items()}
    return tar({"cifar-10-batches-bin/readme.html": b"<html>", **members})


def npm_package(batches: dict[str, bytes]) -> bytes:
    """The images come before the labels, as in the real package; their order does not matter."""
    members = {"package/package.json": b"{}"}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for name, content in batches.items():
        images, split_labels = cifar10.decode(content)
        rows = images.reshape(len(images), -1, 3)
        members[f"package/{name.removesuffix('.bin')}.png"] = _png(rows)
        labels["train" if name in cifar10.TRAIN_FILES else "test"] += split_labels.tolist()
    members = dict(reversed(members.items()))
    for split, values in labels.items():
        members[f"package/{split}_lables.json"] = json.dumps(values).encode()
    return tar(members)


def parquet(*contents: bytes) -> bytes:
    rows = []
    for content in contents:
        for image, label in zip(*cifar10.decode(content), strict=True):
            rows.append({"img": {"bytes": _png(image), "path": None}, "label": int(label)})
    packed = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), packed, row_group_size=7)
    return packed.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()
