"""Photos whose files are sound and unusual, and some that are neither."""

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.photos import pixels
from pipeline.predict.predictor import load_images

load = partial(load_images, side=32, crop_mode="centre")
to_input = partial(pixels.to_input, side=32, framing="centre")
TURNED = {  # by EXIF's tag 274: how a picture is stored that is white at the top, black below
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.transpose(a, (1, 0, 2)),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2),
    8: lambda a: np.rot90(a, 3),
}


def upright() -> np.ndarray:
    """Four quarters of different grey, uint8 (64, 64, 3)."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :32], picture[:32, 32:], picture[32:, :32] = 250, 170, 90
    return picture


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
@pytest.mark.parametrize("orientation", TURNED)
def test_tiff_is_turned_once(tmp_path: Path, orientation: int, compression: str | None) -> None:
    store: Callable[[np.ndarray], np.ndarray] = TURNED[orientation]
    stored = Image.fromarray(np.ascontiguousarray(store(upright())))
    stored.save(tmp_path / "a.tif", tiffinfo={274: orientation}, compression=compression)
    found = load([str(tmp_path / "a.tif")])[0]
    corners = [found[row, column, 0] * 255 for row in (4, 27) for column in (4, 27)]
    assert corners == pytest.approx([250, 170, 90, 0], abs=1)


def jpeg_with_resolution(kind: int) -> bytes:
    """A JPEG, to be turned, whose EXIF has its dots an inch as a number of this odd type."""
    entries = [(274, 3, 1, b"\x06\0\0\0"), (282, kind, 1, b"\x48\0\0\0")]
    directory = b"".join(
        tag.to_bytes(2, "little") + of.to_bytes(2, "little") + count.to_bytes(4, "little") + value
        for tag, of, count, value in entries
    )
    tiff = b"II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little") + directory + b"\0\0\0\0"
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(upright()))).save(
        stream, "JPEG", quality=100, exif=b"Exif\0\0" + tiff
    )
    return stream.getvalue()


@pytest.mark.parametrize("kind", [1, 2, 7])  # BYTE, ASCII, UNDEFINED
def test_odd_resolution_of_a_jpeg_does_no_harm(tmp_path: Path, kind: int) -> None:
    # JFIF's own resolution would keep Pillow from looking at EXIF's.
    content = jpeg_with_resolution(kind)
    start = content.index(b"\xff\xe0")
    length = int.from_bytes(content[start + 2 : start + 4], "big")
    (tmp_path / "a.jpg").write_bytes(content[:start] + content[start + 2 + length :])
    found = load([str(tmp_path / "a.jpg")])[0]
    assert found[4, 4, 0] * 255 == pytest.approx(250, abs=3)
    assert found[27, 27, 0] * 255 == pytest.approx(0, abs=3)


def test_an_eps_in_another_file_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def field(group: int, number: int, content: bytes) -> bytes:
        return bytes([0x1C, group, number]) + len(content).to_bytes(2, "big") + content

    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    fields = [(3, 60, b"\1\0"), (3, 20, b"\0\x09"), (3, 30, b"\0\x09"), (3, 120, b"\5")]
    content = b"".join(field(*one) for one in fields) + field(8, 10, eps)
    (tmp_path / "cat.jpg").write_bytes(content)
    ghostscript = tmp_path / "bin/gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(PipelineError, match=r"cat\.jpg: expected an image"):
        load([str(tmp_path / "cat.jpg")])
    assert not (tmp_path / "started").exists()


def test_premultiplied_grey_is_laid_over_white() -> None:
    image = Image.new("LA", (40, 40), (102, 128)).convert("La")  # 0.4, half transparent
    assert to_input(image) == pytest.approx(0.4 / 2 + 1 / 2, abs=2 / 255)


def test_floats_of_the_widest_range_are_stretched() -> None:
    levels = np.full((40, 40), -2e38, np.float32)
    levels[:, 20:] = 2e38
    found = to_input(Image.fromarray(levels))
    assert (found[16, 2, 0], found[16, 30, 0]) == pytest.approx((0, 1), abs=0.02)


def test_signed_grey_of_16_bits_keeps_its_depth(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((40, 40), 6553, np.uint16)).save(stream, "TIFF")
    with Image.open(stream) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        tags[339] = 2  # of signed integers
        image.save(tmp_path / "a.tif", tiffinfo=tags)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "I"
    found = load([str(tmp_path / "a.tif")])[0]
    assert found == pytest.approx(0.2, abs=1 / 255)


def test_what_pillow_would_decode_wrongly_is_refused(tmp_path: Path) -> None:
    """Uncompressed planes of 16 bits, which Pillow reads as if they had 8."""
    width, planes = 8, 3
    pixels = np.arange(planes * width * width, dtype="<u2").tobytes()
    size = len(pixels) // planes
    tags = [
        *((256, width), (257, width), (259, 1), (262, 2), (277, planes), (278, width), (284, 2)),
    ]
    first = 8 + 2 + 12 * (len(tags) + 3) + 4
    arrays = {258: (3, [16] * planes), 273: (4, []), 279: (4, [size] * planes)}
    start = first + 2 * planes + 8 * planes
    arrays[273][1].extend(start + size * plane for plane in range(planes))
    entries, extra = {tag: (3, 1, value) for tag, value in tags}, b""
    for tag, (kind, values) in arrays.items():
        entries[tag] = (kind, planes, first + len(extra))
        extra += b"".join(value.to_bytes(2 if kind == 3 else 4, "little") for value in values)
    directory = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + count.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, (kind, count, value) in sorted(entries.items())
    )
    head = b"II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(head + directory + b"\0\0\0\0" + extra + pixels)
    with pytest.raises(PipelineError, match=r"a\.tif: .*planes of 16 bits; save it another way"):
        load([str(tmp_path / "a.tif")])


def test_a_name_is_one_line_that_tells_a_terminal_nothing(tmp_path: Path) -> None:
    name = str(tmp_path / "two\nlines\x1b[2J.png")
    with pytest.raises(PipelineError) as caught:
        load([name])
    assert str(caught.value) == f"{tmp_path}/two\\nlines\\x1b[2J.png: no such file; check its name"


def test_too_little_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Image.Image, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pixels, "to_input", fail)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(PipelineError, match=r"a\.png: .*too little memory for it; scale it down"):
        load([str(tmp_path / "a.png")])
