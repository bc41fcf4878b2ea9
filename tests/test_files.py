"""Outputs are whole or absent, and have the same bytes every time."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.base import files
from pipeline.base.errors import PipelineError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_makes_the_folder_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.txt"
    files.write(path, lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "new"
    assert names(path.parent) == ["out.txt"]


def test_the_temporary_file_is_hidden_beside_the_target_with_its_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []

    def save(temporary: Path) -> None:
        seen.append(temporary)
        temporary.touch()

    files.write(tmp_path / "figure.png", save)
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".png"
    assert seen[0].name.startswith(".")


def test_a_failing_save_keeps_the_old_file_and_removes_its_own(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def save(temporary: Path) -> None:
        temporary.write_text("ne")
        raise RuntimeError("stopped half way")

    with pytest.raises(RuntimeError, match="half way"):
        files.write(path, save)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_an_operating_system_error_names_file_reason_and_remedy(
    tmp_path: Path, number: int
) -> None:
    def save(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError(number, os.strerror(number))

    expected = rf"cannot write .*out\.txt: {os.strerror(number)}; free space or fix"
    with pytest.raises(PipelineError, match=expected):
        files.write(tmp_path / "out.txt", save)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    with pytest.raises(PipelineError, match=r"cannot write .*reports"):
        files.write_text(tmp_path / "reports" / "out.txt", "text")
    assert names(tmp_path) == ["reports"]


@pytest.mark.parametrize("text", ["é\nb", "é\nb\n", "é\nb\n\n"])
def test_text_is_utf8_and_ends_in_one_newline(tmp_path: Path, text: str) -> None:
    files.write_text(tmp_path / "out.md", text)
    assert (tmp_path / "out.md").read_bytes() == b"\xc3\xa9\nb\n"


def test_json_keeps_order_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    files.write_json(path, {"b": 1, "a": [0.5]})
    assert path.read_text().endswith("}\n")
    assert list(json.loads(path.read_text())) == ["b", "a"]
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"b": float("nan")})
    assert json.loads(path.read_text())["b"] == 1


def test_arrays_come_back_and_have_the_same_bytes_twice(tmp_path: Path) -> None:
    images, labels = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), np.arange(3)
    for name in ("one.npz", "two.npz"):
        files.write_arrays(tmp_path / name, images=images, labels=labels)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = files.read_arrays(tmp_path / "one.npz", "labels", "images")
    np.testing.assert_array_equal(again[0], labels)
    np.testing.assert_array_equal(again[1], images)


def blocks(array: np.ndarray, *edges: int) -> files.Blocks:
    """`array`, cut at `edges` of its first axis."""
    return files.Blocks(array.shape, array.dtype, iter(np.split(array, edges)))


@pytest.mark.parametrize(
    ("array", "edges"),
    [
        (np.random.default_rng(1).random((7, 4, 4, 3), np.float32), ()),
        (np.random.default_rng(1).random((7, 4, 4, 3), np.float32), (1, 5)),
        (np.random.default_rng(1).random((7, 4, 4, 3), np.float32), (0, 0, 3, 7)),
        (np.arange(12.0).reshape(3, 4), (1,)),
        (np.arange(9, dtype=np.uint8), (4,)),
        (np.arange(9, dtype=">i4"), (4,)),
        (np.zeros((0, 2), np.float32), ()),
    ],
)
def test_blocks_have_the_bytes_of_the_whole_array(
    tmp_path: Path, array: np.ndarray, edges: tuple[int, ...]
) -> None:
    rest = np.arange(3)
    files.write_arrays(tmp_path / "whole.npz", images=array, labels=rest)
    files.write_arrays(tmp_path / "blocks.npz", images=blocks(array, *edges), labels=rest)
    assert (tmp_path / "blocks.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_blocks_may_lie_in_memory_in_any_order(tmp_path: Path) -> None:
    array = np.random.default_rng(1).random((6, 4, 4))
    scattered = [np.asfortranarray(array[:2]), array[2:].swapaxes(1, 2).copy().swapaxes(1, 2)]
    files.write_arrays(tmp_path / "whole.npz", images=array)
    given = files.Blocks(array.shape, array.dtype, scattered)
    files.write_arrays(tmp_path / "blocks.npz", images=given)
    assert (tmp_path / "blocks.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([np.zeros((3, 2), np.float32)], r"expected 4 rows in all blocks, found 3"),
        ([np.zeros((3, 2), np.float32)] * 2, r"expected 4 rows in all blocks, found 6"),
        ([np.zeros((4, 3), np.float32)], r"expected float32 \(4, 2\), found float32 \(4, 3\)"),
        ([np.zeros((4, 2))], r"expected float32 \(4, 2\), found float64 \(4, 2\)"),
    ],
)
def test_blocks_that_are_not_what_they_say_are_refused(
    tmp_path: Path, given: list[np.ndarray], text: str
) -> None:
    promised = files.Blocks((4, 2), np.dtype(np.float32), given)
    with pytest.raises(ValueError, match=text):
        files.write_arrays(tmp_path / "out.npz", images=promised)
    assert names(tmp_path) == []


def test_arrays_of_objects_would_need_pickle_and_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        files.write_arrays(tmp_path / "out.npz", things=np.array([{}]))
    assert names(tmp_path) == []


def test_reading_names_the_file_when_it_is_missing_or_lacks_an_array(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    with pytest.raises(PipelineError, match=r"out\.npz.*dvc repro"):
        files.read_arrays(path, "images")
    files.write_arrays(path, labels=np.arange(3))
    with pytest.raises(PipelineError, match=r"cannot read images from .*out\.npz"):
        files.read_arrays(path, "images")


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "other"])
def test_reading_refuses_a_damaged_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "out.npz"
    files.write_arrays(path, images=np.arange(10_000, dtype=np.float32))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[20_000] ^= 1
    cut = {
        "empty": b"",
        "truncated": bytes(content[:30_000]),
        "other": b"text",
        "flipped": bytes(content),
    }
    path.write_bytes(cut[damage])
    with pytest.raises(PipelineError, match=r"out\.npz.*delete the file"):
        files.read_arrays(path, "images")
