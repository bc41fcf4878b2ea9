"""The names of the classes in a LiteRT file."""

import zipfile
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.evaluate import labelled

NAMES = ("Grüner Tee", "rote Äpfel, geschält", "NEL\u0085 and LS\u2028 end no line", "c:/d")
NETWORK = b"\x20\0\0\0TFL3" + bytes(1000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.tflite"
    path.write_bytes(NETWORK)
    return path


def test_round_trip_with_the_same_bytes_each_time(file: Path) -> None:
    labelled.append(file, NAMES)
    assert labelled.read(file) == NAMES
    content = file.read_bytes()
    assert content.startswith(NETWORK)
    with zipfile.ZipFile(file) as archive:
        (entry,) = archive.infolist()
    assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
    assert (entry.date_time, entry.create_system) == ((1980, 1, 1, 0, 0, 0), 3)
    file.write_bytes(NETWORK)
    labelled.append(file, NAMES)
    assert file.read_bytes() == content


@pytest.mark.parametrize("names", [(), ("a", ""), ("a\nb", "c")])
def test_names_must_be_lines(file: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="names of one line each"):
        labelled.append(file, names)
    assert file.read_bytes() == NETWORK


def test_failed_write_leaves_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(PipelineError, match=r"a\.tflite"):
        labelled.append(file, NAMES)
    assert file.read_bytes() == NETWORK
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("start", "old", "new"),
    [
        (0, b"Tee", b"Kee"),  # the checksum differs
        (0, "ü".encode(), b"\xff\xff"),
        (0, b"labels.txt", b"others.txt"),
        (0, b"PK\5\6", b"PK\5\7"),
        (-30, b"", b""),
    ],
)
def test_damaged_file(file: Path, start: int, old: bytes, new: bytes) -> None:
    labelled.append(file, NAMES)
    content = file.read_bytes()
    file.write_bytes(content[:start] if start else content.replace(old, new))
    with pytest.raises(PipelineError, match=r"a\.tflite: .*labels\.txt.*delete it, and run"):
        labelled.read(file)


def test_missing_file_and_empty_name(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("labels.txt", "a\n\nb\n")
    with pytest.raises(PipelineError, match="empty name"):
        labelled.read(file)
    file.unlink()
    with pytest.raises(PipelineError, match="No such file"):
        labelled.read(file)
