"""The images that predict is given: many files, and standard input."""

import io
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.predict import image_files

load = partial(image_files.load, side=32, framing="centre")
GREEN = (0, 1, 0)


def test_many_keep_their_order(tmp_path: Path) -> None:
    """Also where some are decoded in other threads, as the bitmap of 30 KB, and some not."""
    names = [str(tmp_path / f"{n}.{kind}") for n, kind in enumerate(["png", "bmp", "png"] * 16)]
    for n, name in enumerate(names):
        Image.new("RGB", (100, 100), (n * 5, 0, 0)).save(name)
    small, large = (Path(name).stat().st_size for name in names[:2])
    assert small < image_files.BYTES_FOR_A_THREAD < large
    found = load(names)[:, 0, 0, 0] * 255
    assert found.round().tolist() == [n * 5 for n in range(48)]


def test_standard_input_named_twice_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("RGB", (40, 40), "lime").save(content, "PNG")
    content.seek(0)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    assert np.array_equal(load(["-", "-"])[:, 0, 0], [GREEN, GREEN])


@pytest.mark.parametrize("stdin", [SimpleNamespace(buffer=io.BytesIO()), None])
def test_empty_standard_input(monkeypatch: pytest.MonkeyPatch, stdin: Any) -> None:
    """Python has none at all where the shell has closed it, as by `<&-`."""
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(PipelineError, match=r"^-: expected .*, found an empty file"):
        load(["-"])


def test_no_image_at_all() -> None:
    with pytest.raises(PipelineError, match="at least one image"):
        load([])


def test_every_bad_file_is_named_on_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    names = [str(tmp_path / name) for name in ("good.png", "text.jpg", "missing.png")]
    with pytest.raises(PipelineError) as caught:
        load(names)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == names[1:]
