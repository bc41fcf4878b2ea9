"""Atomic writes with the same bytes each time."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from errno import EACCES, ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.datasets.preprocess import write_npz

IMAGES = np.random.default_rng(1).random((7, 4, 4, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, None),
        (RuntimeError("stopped half way"), RuntimeError),
        *((OSError(number, os.strerror(number)), PipelineError) for number in (ENOSPC, EACCES)),
    ],
)
def test_a_write_replaces_the_file_whole_or_keeps_the_old_one(
    tmp_path: Path, error: Exception | None, expected: Any
) -> None:
    path = tmp_path / "new folder" / "figure.png"
    files.write(path, lambda temporary: temporary.write_text("old"))

    def save(temporary: Path) -> None:
        assert (temporary.parent, temporary.suffix) == (path.parent, ".png")
        assert temporary.name.startswith(".")
        temporary.write_text("new")
        if error:
            raise error

    with pytest.raises(expected, match=r"half|cannot write .*png") if error else nullcontext():
        files.write(path, save)
    assert path.read_text() == ("old" if error else "new")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "write", [files.check_writable, lambda path: files.write_text(path, "text")]
)
def test_a_folder_that_cannot_be_made(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    with pytest.raises(PipelineError, match=r"cannot write .*reports"):
        write(tmp_path / "reports" / "out.txt")
    assert list(tmp_path.iterdir()) == [tmp_path / "reports"]


def test_files_have_the_bytes_given(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.x"
    files.write(path, lambda temporary: temporary.write_bytes(b"\r\n\0 \xff"))
    assert path.read_bytes() == b"\r\n\0 \xff"
    for text in ("à\r\n b ", "à\r\n b \n\n"):
        files.write_text(path, text)
        assert path.read_bytes() == b"\xc3\xa0\r\n b \n"
    files.write_json(path, {"b": 0.1, "a": [1, None], "c": "à"})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"b": float("nan")})
    assert path.read_bytes() == (
        b'{\n  "b": 0.1,\n  "a": [\n    1,\n    null\n  ],\n  "c": "\\u00e0"\n}\n'
    )


@pytest.mark.parametrize("array", [IMAGES, IMAGES[..., ::-1], np.asfortranarray(IMAGES)])
def test_arrays_have_the_same_bytes_each_time_and_numpy_reads_them(
    tmp_path: Path, array: np.ndarray
) -> None:
    for name in ("one.npz", "two.npz"):
        write_npz(tmp_path / name, images=array, labels=np.arange(3))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with np.load(tmp_path / "one.npz") as archive:
        np.testing.assert_array_equal(archive["images"], array)
        np.testing.assert_array_equal(archive["labels"], np.arange(3))
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "three.npz", images=np.array([{}]))
    assert len(list(tmp_path.iterdir())) == 2
