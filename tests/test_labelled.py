"""The names of the classes behind a network in its file for LiteRT."""

import zipfile
from collections.abc import Callable
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


def test_names_come_back_and_the_network_stands_before_them(file: Path) -> None:
    labelled.append(file, NAMES)
    assert labelled.read(file) == NAMES
    assert file.read_bytes().startswith(NETWORK)


def test_any_zip_finds_them_stored_and_dated_1980(file: Path) -> None:
    labelled.append(file, NAMES)
    with zipfile.ZipFile(file) as archive:
        (entry,) = archive.infolist()
        assert archive.testzip() is None
    assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
    assert (entry.date_time, entry.create_system) == ((1980, 1, 1, 0, 0, 0), 3)
    assert "\n".join((*NAMES, "")).encode() in file.read_bytes()


def test_same_bytes_each_time(file: Path) -> None:
    labelled.append(file, NAMES)
    first = file.read_bytes()
    file.write_bytes(NETWORK)
    labelled.append(file, NAMES)
    assert file.read_bytes() == first


@pytest.mark.parametrize("names", [(), ("a", ""), ("a\nb", "c")])
def test_names_that_are_no_lines_are_refused(file: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="names of one line each"):
        labelled.append(file, names)
    assert file.read_bytes() == NETWORK


def test_whole_or_not_at_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(PipelineError, match=r"cannot write .*a\.tflite: No space left"):
        labelled.append(file, NAMES)
    assert file.read_bytes() == NETWORK
    assert list(file.parent.iterdir()) == [file]


def without(_: bytes) -> bytes:
    return NETWORK


def cut(content: bytes) -> bytes:
    return content[:-30]


def flipped(content: bytes) -> bytes:
    return content.replace(b"Tee", b"Kee")


def ill_encoded(content: bytes) -> bytes:
    return content.replace("ü".encode(), b"\xff\xff")


@pytest.mark.parametrize("damage", [without, cut, flipped, ill_encoded])
def test_damage_names_file_and_remedy(file: Path, damage: Callable[[bytes], bytes]) -> None:
    labelled.append(file, NAMES)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(PipelineError, match=r"a\.tflite: expected the names .*delete it, and run"):
        labelled.read(file)


def test_another_archive_and_no_file(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("other.txt", "a")
    with pytest.raises(PipelineError, match=r"found .*labels\.txt.*delete it"):
        labelled.read(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("labels.txt", "a\n\nb\n")
    with pytest.raises(PipelineError, match="found an empty name"):
        labelled.read(file)
    file.unlink()
    with pytest.raises(PipelineError, match="found No such file or directory"):
        labelled.read(file)
