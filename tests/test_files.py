"""Atomic writes with the same bytes each time."""

import json
import os
from collections.abc import Callable
from errno import EACCES, ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base import files
from pipeline.base.errors import PipelineError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_write_goes_through_a_hidden_file_beside_the_target(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "figure.png"
    paths: list[Path] = []

    def save(temporary: Path) -> None:
        paths.append(temporary)
        temporary.write_text("new")

    files.write(path, save)
    assert path.read_text() == "new"
    assert names(path.parent) == ["figure.png"]
    (temporary,) = paths
    assert (temporary.parent, temporary.suffix) == (path.parent, ".png")
    assert temporary.name.startswith(".")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("stopped half way"), RuntimeError),
        *((OSError(number, os.strerror(number)), PipelineError) for number in (ENOSPC, EACCES)),
    ],
)
def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, error: Exception, expected: type[Exception]
) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def save(temporary: Path) -> None:
        temporary.write_text("ne")
        raise error

    with pytest.raises(expected) as raised:
        files.write(path, save)
    if isinstance(error, OSError):
        assert f"cannot write {path}: {error.strerror}; free space or" in str(raised.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.parametrize(
    "write", [files.expect_writable, lambda path: files.write_text(path, "text")]
)
def test_a_folder_that_cannot_be_made(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    with pytest.raises(PipelineError, match=r"cannot write .*reports"):
        write(tmp_path / "reports" / "out.txt")
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


def blocks(array: np.ndarray, *edges: int) -> files.Blocks:
    """`array` split at `edges` of its first axis."""
    return files.Blocks(array.shape, array.dtype, iter(np.split(array, edges)))


IMAGES = np.random.default_rng(1).random((7, 4, 4, 3), np.float32)


@pytest.mark.parametrize(
    ("array", "edges"),
    [
        (IMAGES, (1, 5)),
        (IMAGES, (0, 0, 3, 7)),
        (IMAGES[..., ::-1], (4,)),
        (np.asfortranarray(IMAGES), (4,)),
        (np.arange(9, dtype=">i4"), (4,)),
        (np.zeros((0, 2), np.float32), ()),
    ],
)
def test_arrays_have_the_same_bytes_in_any_blocks(
    tmp_path: Path, array: np.ndarray, edges: tuple[int, ...]
) -> None:
    """And whatever their order in memory."""
    labels, whole = np.arange(3), np.ascontiguousarray(array)
    paths = [tmp_path / name for name in ("one.npz", "two.npz", "blocks.npz")]
    for path in paths[:2]:
        files.write_arrays(path, images=whole, labels=labels)
    files.write_arrays(paths[2], images=blocks(array, *edges), labels=labels)
    assert len({path.read_bytes() for path in paths}) == 1
    read = files.read_arrays(paths[2], "labels", "images")
    np.testing.assert_array_equal(read[0], labels)
    np.testing.assert_array_equal(read[1], array)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([np.zeros((3, 2), np.float32)], r"expected 4 rows in all blocks, found 3"),
        ([np.zeros((3, 2), np.float32)] * 2, r"expected 4 rows in all blocks, found 6"),
        ([np.zeros((4, 3), np.float32)], r"found float32 \(4, 3\)"),
        ([np.zeros((4, 2))], r"found float64 \(4, 2\)"),
        (None, "allow_pickle"),
    ],
)
def test_wrong_blocks_and_objects_are_refused(
    tmp_path: Path, parts: list[np.ndarray] | None, message: str
) -> None:
    array: Any = np.array([{}])
    if parts is not None:
        array = files.Blocks((4, 2), np.dtype(np.float32), parts)
    with pytest.raises(ValueError, match=message):
        files.write_arrays(tmp_path / "out.npz", images=array)
    assert names(tmp_path) == []


@pytest.mark.parametrize("damage", ["missing", "lacking", "truncated", "flipped", "foreign"])
def test_unreadable_arrays_name_file_and_remedy(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "out.npz"
    files.write_arrays(path, images=np.arange(10_000, dtype=np.float32))
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[20_000] ^= 1
    changed = {"truncated": content[:30_000], "foreign": b"text", "flipped": bytes(flipped)}
    path.write_bytes(changed.get(damage, content))
    if damage == "missing":
        path.unlink()
    name = "labels" if damage == "lacking" else "images"
    with pytest.raises(PipelineError, match=rf"cannot read {name} from .*out\.npz.*delete the"):
        files.read_arrays(path, name)
