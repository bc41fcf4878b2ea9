"""Reading the batch files of CIFAR-10 in each form, and errors for damaged files."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import sources

from pipeline.datasets.archives import read_batches
from pipeline.datasets.download import SourceError


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    return sources.tiny_dataset(monkeypatch, tmp_path / "above" / "official" / "batches")


def read(path: Path) -> list[bytes]:
    return [content for _, content in read_batches(path)]


@pytest.mark.parametrize("depth", ["above", "above/official", "above/official/batches"])
def test_folder_at_or_above_the_files(
    official: dict[str, bytes], tmp_path: Path, depth: str
) -> None:
    assert sorted(read(tmp_path / depth)) == sorted(official.values())


@pytest.mark.parametrize("form", sources.FORMS)
def test_every_form_has_the_same_batches(
    official: dict[str, bytes], tmp_path: Path, form: str
) -> None:
    path = tmp_path / "source.part"  # the name is not used
    path.write_bytes(sources.pack(form, official))
    assert read(path) == list(official.values())
    assert {file.name for file in tmp_path.iterdir()} == {"above", path.name}


@pytest.mark.parametrize("folder", ["./cifar-10-batches-bin/", "", "/home/me/", "../", "a/b/"])
def test_archive_with_other_folders(
    official: dict[str, bytes], tmp_path: Path, folder: str
) -> None:
    path = tmp_path / "source.tar"
    path.write_bytes(sources.tar({folder + name: data for name, data in official.items()}))
    assert read(path) == list(official.values())
    assert {file.name for file in tmp_path.iterdir()} == {"above", path.name}


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_members_that_are_no_regular_files_are_skipped(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "source.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    assert read(path) == []


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9])
@pytest.mark.parametrize("form", sources.FORMS)
def test_truncated(official: dict[str, bytes], tmp_path: Path, form: str, share: float) -> None:
    path = tmp_path / "source.part"
    content = sources.pack(form, official)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SourceError, match=r"source\.part"):
        read(path)


def png(*shape: int) -> bytes:
    return sources.png(np.zeros(shape, np.uint8))


DAMAGE = {
    "strip of another size": {"test_batch.png": png(20, 1000, 3)},
    "strip that is no image": {"test_batch.png": b"GIF89a"},
    "labels that are no JSON": {"test_lables.json": b"{"},
    "too few labels": {"test_lables.json": b"[1, 2]"},
    "labels that are no numbers": {"test_lables.json": b'["a"]'},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_npm_package(official: dict[str, bytes], tmp_path: Path, damage: str) -> None:
    path = tmp_path / "source.tgz"
    changes = {f"package/{name}": content for name, content in DAMAGE[damage].items()}
    path.write_bytes(sources.tar(sources.npm_members(official) | changes))
    with pytest.raises(SourceError, match=r"source\.tgz"):
        read(path)


@pytest.mark.usefixtures("official")
def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "source"
    with pytest.raises(SourceError, match="source"):
        read(path)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"img": [1], "text": ["a"]}), buffer)
    for content in (b"<html>", buffer.getvalue()):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="source"):
            read(path)
    path.write_bytes(sources.tar({"cifar-10-batches-py/data_batch_1": b"\x80\x04."}))
    assert read(path) == []
