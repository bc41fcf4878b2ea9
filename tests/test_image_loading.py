"""Image files of many formats and modes to square arrays, and what is refused."""

import io
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Transpose

from pipeline.core.errors import PipelineError
from pipeline.datasets import image_loading

load = partial(image_loading.load_image, side=32, crop_mode="centre")
RED, GREEN, BLUE, WHITE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)
SIZE = (90, 60)
solid = partial(Image.new, size=SIZE)
# By EXIF orientation from 2 on: how an upright image is stored.
TRANSPOSED = (
    *(Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
    *(Transpose.TRANSPOSE, Transpose.ROTATE_90, Transpose.TRANSVERSE, Transpose.ROTATE_270),
)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def load_encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> np.ndarray:
    return load(io.BytesIO(encoded(image, kind, **options)))


@pytest.mark.parametrize(
    ("kind", "image", "expected"),
    [
        *(
            (kind, solid("RGB", color="red"), RED)
            for kind in image_loading.FORMATS
            if kind != "GIF"
        ),
        ("GIF", solid("P", color=0), (0, 0, 0)),
        ("JPEG", solid("L", color=51), (0.2, 0.2, 0.2)),
        ("JPEG", solid("CMYK", color=(0, 255, 255, 0)), RED),
        ("PNG", solid("RGBA", color=(255, 0, 0, 51)), (1, 0.8, 0.8)),
        ("PNG", solid("LA", color=(0, 51)), (0.8, 0.8, 0.8)),
        ("PNG", solid("1", color=1), WHITE),
        ("PNG", solid("RGB", color="blue").quantize(4), BLUE),
    ],
)
def test_formats_and_modes_become_rgb(
    kind: str, image: Image.Image, expected: tuple[float, ...]
) -> None:
    pixels = load_encoded(image, kind)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() <= pixels.max() <= 1
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=0.03)


# Four quarters of different grey, and those of an image as it is loaded.
QUARTERS = np.kron([[250, 170], [90, 0]], np.ones((32, 32))).astype(np.uint8)


def quarters_of(pixels: np.ndarray) -> list[float]:
    return [float(pixels[y, x, 0]) * 255 for y in (4, 27) for x in (4, 27)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("orientation", "transposed"), list(enumerate(TRANSPOSED, 2)))
def test_exif_orientation_is_applied_once(
    orientation: int, transposed: Transpose, kind: str
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    pixels = load_encoded(Image.fromarray(QUARTERS).transpose(transposed), kind, exif=exif)
    assert quarters_of(pixels) == pytest.approx([250, 170, 90, 0], abs=8)


# An orientation of 6 and a GPS directory with a signed rational -1 / 0, as some cameras write it:
# Pillow reads it, but cannot write it.
CAMERA = struct.pack("<HHHIIHHIII", 2, 274, 3, 1, 6, 0x8825, 4, 1, 38, 0)
CAMERA += struct.pack("<HHHIIIii", 1, 6, 10, 1, 56, 0, -1, 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("order", "turned"), [(b"II", True), (b"XX", False)])
def test_damaged_exif_leaves_the_image_readable(order: bytes, turned: bool, kind: str) -> None:
    stored = np.ascontiguousarray(np.rot90(QUARTERS)) if turned else QUARTERS
    exif = b"Exif\0\0" + order + b"*\0\x08\0\0\0" + CAMERA
    pixels = load_encoded(Image.fromarray(stored), kind, exif=exif)
    assert quarters_of(pixels) == pytest.approx([250, 170, 90, 0], abs=8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    first, *others = (Image.new("RGB", (40, 40), colour) for colour in ("lime", "red", "blue"))
    pixels = load_encoded(first, kind, save_all=True, append_images=others)
    np.testing.assert_allclose(pixels, np.broadcast_to(GREEN, pixels.shape), atol=0.02)


@pytest.mark.parametrize("side", [16, 64, 256])
def test_a_jpeg_decoded_at_reduced_size_looks_the_same(side: int) -> None:
    image = noise(160, 120).resize((2560, 1920), Image.Resampling.BICUBIC)
    jpeg = encoded(image, "JPEG", quality=95, subsampling=0)
    with Image.open(io.BytesIO(jpeg)) as opened:
        full = encoded(opened, "PNG", compress_level=1)
    reduced, expected = (
        image_loading.load_image(io.BytesIO(content), side=side, crop_mode="whole")
        for content in (jpeg, full)
    )
    assert np.abs(reduced - expected).max() < 0.02


SOUND_PNG = encoded(noise(60, 60), "PNG")
BROKEN_CHECKSUM = SOUND_PNG[:-17] + bytes([SOUND_PNG[-17] ^ 1]) + SOUND_PNG[-16:]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected an image"),
        (b"text", "expected an image"),
        *((encoded(noise(9, 9), kind), "expected an image") for kind in ("EPS", "TIFF")),
        (SOUND_PNG[:3000], "cannot read"),
        (SOUND_PNG[:5000] + bytes(len(SOUND_PNG) - 5000), "cannot read"),
        (BROKEN_CHECKSUM, "checksum"),
        (encoded(noise(60, 60), "JPEG")[:1500], "Premature end"),
        (encoded(noise(60, 60), "JPEG")[:1500] + b"\xff\xd9", "premature end"),
        (encoded(noise(60, 60), "WEBP")[:-100] + bytes(100), "not copied whole"),
        (b"P5\n50000 50000\n255\n", "pixels"),
        (b"P5\n9 9\n65535\n" + bytes(2 * 81), "8 bits"),
        (encoded(Image.new("I;16", SIZE), "PNG"), "8 bits"),
    ],
)
def test_damaged_and_unsupported_files_are_refused_by_name(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "two\nlines\x1b[2J.jpg"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=problem) as caught:
        load(path)
    assert str(caught.value).startswith(f"{tmp_path}/two\\nlines\\x1b[2J.jpg: ")
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__context__ is None  # it would keep the pixels in memory


def test_detail_is_averaged_and_edges_keep_their_range() -> None:
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(load_encoded(Image.fromarray(board)), 0.5, atol=0.01)
    step = np.zeros((300, 300), np.uint8)
    step[:, 140:] = 255
    pixels = load_encoded(Image.fromarray(step))
    assert (pixels.min(), pixels.max()) == (0, 1)


@pytest.mark.parametrize("upright", [False, True])
def test_the_centre_is_a_square_of_the_shorter_side(upright: bool) -> None:
    pixels = np.tile(np.repeat(np.array([RED, GREEN, BLUE], np.uint8) * 255, 32, 0), (32, 1, 1))
    image = Image.fromarray(pixels.swapaxes(0, 1) if upright else pixels)
    assert (load_encoded(image) == GREEN).all()


@pytest.mark.parametrize(
    ("size", "width", "height"),
    [
        *(((100, 50), 16, 8), ((160, 70), 16, 7), ((320, 150), 16, 8), ((50, 100), 8, 16)),
        *(((70, 160), 7, 16), ((5000, 1), 16, 1), ((1, 1), 16, 16)),
    ],
)
def test_shape_and_place_of_the_whole_image(size: tuple[int, int], width: int, height: int) -> None:
    """In proportion, 7.5 rounded up; an odd row of white is below or to the right."""
    content = encoded(Image.new("RGB", size), "PNG")
    dark = image_loading.load_image(io.BytesIO(content), side=16, crop_mode="whole")[:, :, 0] == 0
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert (len(columns), len(rows)) == (width, height)
    assert (columns[0], rows[0]) == ((16 - width) // 2, (16 - height) // 2)


def test_paths_and_open_files_are_named_and_read(tmp_path: Path) -> None:
    image = noise(32, 32)
    image.save(tmp_path / "a.png")
    expected = np.asarray(image).astype(np.float32) / 255
    with (tmp_path / "a.png").open("rb") as file:
        for source in (tmp_path / "a.png", str(tmp_path / "a.png"), file):
            np.testing.assert_array_equal(load(source), expected)
        with pytest.raises(PipelineError, match=rf"^{tmp_path}/a\.png: "):
            load(file)  # read to its end
    for path, problem in ((tmp_path / "gone.png", "No such file"), (tmp_path, "directory")):
        with pytest.raises(PipelineError, match=rf"^{path}: .*{problem}"):
            load(path)
