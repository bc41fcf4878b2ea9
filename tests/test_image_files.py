"""Files of many formats and modes as Pillow writes them, read back as the networks' input."""

import io
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from pipeline.base.errors import PipelineError
from pipeline.photos import pixels
from pipeline.predict.predictor import load_images

load = partial(load_images, side=32, crop_mode="centre")
to_input = partial(pixels.to_input, side=32, framing="centre")
RED, GREEN, BLUE, WHITE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)


def plain(mode: str, colour: Any, **options: Any) -> tuple[Image.Image, dict[str, Any]]:
    return Image.new(mode, (90, 60), colour), options


def deep(value: float, kind: str) -> tuple[Image.Image, dict[str, Any]]:
    return Image.fromarray(np.full((60, 90), value, kind)), {}


def transparent_palette() -> tuple[Image.Image, dict[str, Any]]:
    image, options = plain("P", 1, transparency=1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    return image, options


def lab() -> tuple[Image.Image, dict[str, Any]]:
    red = Image.new("RGB", (90, 60), "red")
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(red, *profiles, outputMode="LAB")
    assert converted is not None
    return converted, {}


CASES = {
    "rgb.png": (plain("RGB", "red"), RED),
    "rgb.jpg": (plain("RGB", "red", quality=95), RED),
    "rgb.webp": (plain("RGB", "red", lossless=True), RED),
    "rgb.bmp": (plain("RGB", "red"), RED),
    "rgb.tiff": (plain("RGB", "red"), RED),
    "rgb.gif": (plain("RGB", "red"), RED),
    "grey.jpg": (plain("L", 51), (0.2, 0.2, 0.2)),
    "bilevel.png": (plain("1", 1), WHITE),
    "palette.png": ((Image.new("RGB", (90, 60), "blue").quantize(4), {}), BLUE),
    "palette_transparent.png": (transparent_palette(), WHITE),
    "grey_alpha.png": (plain("LA", (0, 51)), (0.8, 0.8, 0.8)),
    "rgba.png": (plain("RGBA", (255, 0, 0, 51)), (1, 0.8, 0.8)),
    "rgba.webp": (plain("RGBA", (255, 0, 0, 51), lossless=True), (1, 0.8, 0.8)),
    "rgba.tiff": (plain("RGBA", (255, 0, 0, 51)), (1, 0.8, 0.8)),
    "cmyk.jpg": (plain("CMYK", (0, 255, 255, 0), quality=95), RED),
    "cmyk.tiff": (plain("CMYK", (255, 255, 0, 0)), BLUE),
    "ycbcr.tiff": ((Image.new("RGB", (90, 60), "red").convert("YCbCr"), {}), RED),
    "lab.tiff": (lab(), RED),
    "deep_grey.png": (deep(13107, "<u2"), (0.2, 0.2, 0.2)),
    "deep_grey.tiff": (deep(13107, "<u2"), (0.2, 0.2, 0.2)),
    "deep_grey_big_endian.tiff": (deep(13107, ">u2"), (0.2, 0.2, 0.2)),
}


def save(path: Path, image: Image.Image, **options: Any) -> str:
    image.save(path, **options)
    return str(path)


def noise(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def header_of_bomb() -> bytes:
    """A PNG that claims 50,000 x 50,000 pixels in 57 bytes."""
    size = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", b""), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("name", CASES)
def test_every_mode_and_format_becomes_rgb_in_unit_range(tmp_path: Path, name: str) -> None:
    (image, options), expected = CASES[name]
    found = load([save(tmp_path / name, image, **options)])
    assert found.shape == (1, 32, 32, 3)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=0.03)


def test_an_image_of_32_by_32_is_taken_as_it_is(tmp_path: Path) -> None:
    image = noise(32, 32)
    found = load([save(tmp_path / "a.png", image)])
    assert np.array_equal(found[0], np.asarray(image).astype(np.float32) / 255)


@pytest.mark.parametrize("across", [True, False])
def test_the_centre_square_is_kept_in_proportion(across: bool) -> None:
    bands = np.repeat(np.array([RED, GREEN, BLUE], np.uint8) * 255, 40, axis=0)
    pixels = np.repeat(bands[None], 40, axis=0)
    image = Image.fromarray(pixels if across else pixels.transpose(1, 0, 2))
    found = to_input(image)
    # The filter reaches a little beyond the cut: 0.03 of the neighbouring colour in the rim.
    np.testing.assert_allclose(found, np.broadcast_to(GREEN, found.shape), atol=0.03)
    assert np.array_equal(found[2:-2, 2:-2], np.broadcast_to(GREEN, (28, 28, 3)))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2000, 2), (33, 31), (8, 8)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    found = to_input(Image.new("RGB", size, "lime"))
    np.testing.assert_allclose(found, np.broadcast_to(GREEN, (32, 32, 3)), atol=1e-6)


def test_fine_detail_is_averaged_instead_of_aliased() -> None:
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(to_input(Image.fromarray(board)), 0.5, atol=0.01)


@pytest.mark.parametrize(
    ("orientation", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)], ids=lambda n: str(n)
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, quarters: int) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :32] = 255, 0, 0
    pixels[32:, :32] = 0, 0, 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels)
    name = save(tmp_path / "a.jpg", image, exif=exif, quality=95, subsampling=0)
    expected = np.rot90(to_input(image), quarters)
    np.testing.assert_allclose(load([name])[0], expected, atol=0.05)


def quarters() -> Image.Image:
    """64 pixels a side, each quarter of another colour."""
    colours = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8) * 255
    return Image.fromarray(colours.repeat(32, 0).repeat(32, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    """As Pillow does it for sound EXIF."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = save(tmp_path / "a.png", quarters(), exif=exif)
    with Image.open(name) as image:
        expected = to_input(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(load([name])[0], expected)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def exif_of(*, rational_in_gps: bool) -> bytes:
    """EXIF of orientation 6 with a signed rational -1 / 0, as some cameras write it."""
    rational = struct.pack("<ii", -1, 0)
    if rational_in_gps:
        first = [entry(0x0112, 3, 1, 6), entry(0x8825, 4, 1, 38)]
        gps = struct.pack("<H", 1) + entry(6, 10, 1, 56) + bytes(4)
        body = struct.pack("<H", 2) + b"".join(first) + bytes(4) + gps
    else:
        first = [entry(0x0112, 3, 1, 6), entry(0x9204, 10, 1, 38)]
        body = struct.pack("<H", 2) + b"".join(first) + bytes(4)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + body + rational


@pytest.mark.parametrize("rational_in_gps", [False, True])
def test_orientation_counts_whatever_else_exif_holds(tmp_path: Path, rational_in_gps: bool) -> None:
    content = exif_of(rational_in_gps=rational_in_gps)
    name = save(tmp_path / "a.jpg", quarters(), exif=content, quality=95, subsampling=0)
    expected = np.rot90(to_input(quarters()), -1)
    np.testing.assert_allclose(load([name])[0], expected, atol=0.05)


@pytest.mark.parametrize(
    "content",
    [
        b"Exif\0\0XX*\0\x08\0\0\0",  # no TIFF header
        b"Exif\0\0II*\0\xff\xff\xff\x7f",  # its first entries lie beyond the end
        b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entry(0x0112, 3, 1, 99) + bytes(4),  # none of the eight
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry(0x0112, 2, 2, 0x41) + bytes(4),  # text
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_where_the_orientation_cannot_be_read_the_image_is_taken_as_it_is(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    name = save(tmp_path / f"a.{suffix}", quarters(), exif=content, **options)
    expected = to_input(quarters())
    np.testing.assert_allclose(load([name])[0], expected, atol=0.05)


def grey_png(bits: int, level: int, clear: int | None) -> bytes:
    """A grey PNG of 8x8 pixels of one `level`, of which `clear` is named as transparent."""
    row = b"\0" + (
        struct.pack(">8H", *[level] * 8)
        if bits == 16
        else int(f"{level:0{bits}b}" * 8, 2).to_bytes(bits, "big")
    )
    named = [(b"tRNS", struct.pack(">H", clear))] if clear is not None else []
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)),
        *named,
        (b"IDAT", zlib.compress(row * 8)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_transparent_grey_is_white_at_every_depth(tmp_path: Path, bits: int) -> None:
    level = 2**bits // 3
    for clear, expected in ((level, 1.0), (2**bits - 1, level / (2**bits - 1)), (None, None)):
        (tmp_path / "a.png").write_bytes(grey_png(bits, level, clear))
        found = load([str(tmp_path / "a.png")])
        shown = level / (2**bits - 1) if expected is None else expected
        np.testing.assert_allclose(found, shown, atol=1e-4)


def test_transparent_colour_is_white_at_sixteen_bits(tmp_path: Path) -> None:
    pixel = struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)),
        (b"tRNS", pixel),
        (b"IDAT", zlib.compress((b"\0" + pixel * 8) * 8)),
        (b"IEND", b""),
    ]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    (tmp_path / "a.png").write_bytes(content)
    assert (load([str(tmp_path / "a.png")]) == 1).all()


@pytest.mark.parametrize(("white", "level"), [(65535, 13107), (1023, 205), (255, 51)])
@pytest.mark.parametrize("kind", ["P5", "P2"])
def test_white_of_a_pgm_is_what_it_says(tmp_path: Path, kind: str, white: int, level: int) -> None:
    head = f"{kind}\n9 9\n{white}\n".encode()
    size = "B" if white < 256 else "H"
    body = struct.pack(f">81{size}", *[level] * 81) if kind == "P5" else f"{level} ".encode() * 81
    (tmp_path / "a.pgm").write_bytes(head + body)
    np.testing.assert_allclose(load([str(tmp_path / "a.pgm")]), level / white, atol=1e-4)


def grey_tiff(bits: int, level: int, photometric: int) -> bytes:
    """A grey TIFF of 8x8 pixels of one `level`."""
    if bits == 12:
        pixels = (level << 12 | level).to_bytes(3, "big") * 32
    else:
        pixels = level.to_bytes(bits // 8, "little") * 64
    entries = [
        *((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, bits), (259, 3, 1, 1)),
        *((262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 8)),
        (279, 4, 1, len(pixels)),
    ]
    table = struct.pack("<H", len(entries)) + b"".join(entry(*each) for each in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + table


@pytest.mark.parametrize(
    ("bits", "level", "photometric", "expected"),
    [
        (12, 2048, 1, 0.5),
        (12, 4095, 1, 1.0),
        (16, 13107, 1, 0.2),
        (16, 13107, 0, 0.8),
        (8, 51, 0, 0.8),
    ],
)
def test_white_of_a_tiff_is_what_it_says(
    tmp_path: Path, bits: int, level: int, photometric: int, expected: float
) -> None:
    content = grey_tiff(bits, level, photometric)
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_allclose(load([str(tmp_path / "a.tif")]), expected, atol=1e-3)


@pytest.mark.parametrize("name", ["cat.jpg", "cat.eps"])
def test_no_photo_starts_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.eps")
    (tmp_path / name).write_bytes((tmp_path / "a.eps").read_bytes())
    with pytest.raises(PipelineError, match="found something that Pillow cannot read"):
        load([str(tmp_path / name)])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_counts(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("lime", "red", "blue")]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    name = save(
        tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options
    )
    with Image.open(name) as image:
        assert getattr(image, "n_frames", 1) == 3
    np.testing.assert_allclose(load([name])[0, 0, 0], GREEN, atol=0.01)


@pytest.mark.parametrize(("kind", "scale"), [("<i4", 1_000_000), ("<f4", 1e-3), ("<f4", 7.0)])
def test_grey_without_agreed_white_spans_its_own_range(
    tmp_path: Path, kind: str, scale: float
) -> None:
    ramp = np.tile(np.arange(32), (32, 1))
    name = save(tmp_path / "a.tiff", Image.fromarray((ramp * scale - 5 * scale).astype(kind)))
    found = load([name])[0]
    np.testing.assert_allclose(found, np.repeat(ramp[..., None] / 31, 3, axis=2), atol=1e-5)


def test_constant_float_grey_is_finite(tmp_path: Path) -> None:
    image, _ = deep(0.5, "<f4")
    assert np.array_equal(load([save(tmp_path / "a.tiff", image)]), np.zeros((1, 32, 32, 3)))


def test_sixteen_bits_keep_their_depth(tmp_path: Path) -> None:
    levels = np.arange(1024, dtype="<u2").reshape(32, 32) + 30_000
    found = load([save(tmp_path / "a.png", Image.fromarray(levels))])[0, ..., 0]
    np.testing.assert_allclose(found, levels / 65535, atol=1e-6)


def test_hard_edges_of_sixteen_bits_stay_in_unit_range() -> None:
    step = np.zeros((300, 300), "<u2")
    step[:, 140:] = 65535
    found = to_input(Image.fromarray(step))
    assert (found.min(), found.max()) == (0, 1)


def test_a_large_jpeg_decoded_small_looks_the_same(tmp_path: Path) -> None:
    image = noise(12, 16).resize((1600, 1200), Image.Resampling.BICUBIC)
    name = save(tmp_path / "a.jpg", image, quality=95, subsampling=0)
    with Image.open(name) as whole:
        assert np.abs(load([name])[0] - to_input(whole)).max() < 0.02


def test_the_given_image_is_left_alone() -> None:
    image = noise(50, 70)
    exif = image.getexif()
    exif[0x0112] = 6
    before = image.tobytes()
    to_input(image)
    assert (image.size, image.tobytes()) == ((70, 50), before)


def test_many_keep_their_order(tmp_path: Path) -> None:
    names = [
        save(tmp_path / f"{n}.{kind}", Image.new("RGB", (100, 100), (n * 5, 0, 0)))
        for n, kind in enumerate(["png", "bmp", "png"] * 16)
    ]
    found = load(names)[:, 0, 0, 0] * 255
    assert found.round().tolist() == [n * 5 for n in range(48)]


def broken_files(folder: Path) -> dict[str, str]:
    """A bad file of every kind and what must be said of it."""
    sound = io.BytesIO()
    noise(60, 60).save(sound, "PNG")
    jpeg = io.BytesIO()
    noise(60, 60).save(jpeg, "JPEG")
    contents = {
        "text.jpg": (b"not an image", "found something that Pillow cannot read"),
        "empty.png": (b"", "found it empty; a download may have failed"),
        "short.png": (sound.getvalue()[:3000], "cannot read this image: "),
        "short.jpg": (jpeg.getvalue()[:1500], "cannot read this image: "),
        "bomb.png": (header_of_bomb(), "expected at most 89 million pixels, found more"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    Image.fromarray(np.full((9, 9), np.nan, "<f4")).save(folder / "nan.tiff")
    problems = {str(folder / name): problem for name, (_, problem) in contents.items()}
    return problems | {
        str(folder / "missing.png"): "no such file",
        str(folder / "folder"): "Is a directory",
        str(folder / "nan.tiff"): "infinite or not a number",
    }


def test_every_bad_file_is_named_on_a_line_of_its_own(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", noise(9, 9))
    problems = broken_files(tmp_path)
    with pytest.raises(PipelineError) as caught:
        load([good, *problems])
    lines = str(caught.value).splitlines()
    assert len(lines) == len(problems)
    for line, (name, problem) in zip(lines, problems.items(), strict=True):
        assert line.startswith(f"{name}: ")
        assert problem in line


@pytest.mark.parametrize("side", [11, 20])  # above Pillow's limit; above twice that
def test_more_pixels_than_pillow_takes_for_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    names = [save(tmp_path / f"{n}.png", noise(n, n)) for n in (10, side)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert len(load(names[:1])) == 1
    with pytest.raises(PipelineError, match="pixels, found more") as caught:
        load(names)
    assert names[0] not in str(caught.value)


def test_no_image_at_all() -> None:
    with pytest.raises(PipelineError, match="at least one image"):
        load([])


@pytest.mark.filterwarnings("error")
def test_damage_of_any_kind_is_an_image_or_a_pipeline_error(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for name in ("rgb.gif", "rgb.jpg", "rgba.tiff", "rgba.webp", "palette.png", "rgb.bmp"):
        (image, options), _ = CASES[name]
        sound = Path(save(tmp_path / name, image, **options)).read_bytes()
        for attempt in range(25):
            damaged = np.frombuffer(sound, np.uint8).copy()
            spots = random.integers(0, min(len(sound), 400), 8)
            damaged[spots] = random.integers(0, 256, 8)
            path = tmp_path / f"{attempt}{name}"
            path.write_bytes(damaged.tobytes())
            try:
                assert load([str(path)]).shape == (1, 32, 32, 3)
            except PipelineError as error:
                assert str(error).startswith(f"{path}: ")  # noqa: PT017 (either way is right)


def test_transparency_is_laid_over_white_before_the_photo_is_scaled() -> None:
    """Scaled first, the levels of faint pixels would be rounded twice, to 8 bits times alpha."""
    generator = np.random.default_rng(1)
    photo = Image.fromarray(generator.integers(0, 256, (80, 80, 4), np.uint8)).convert("RGBA")
    levels = np.asarray(photo, float)
    alpha = levels[:, :, 3:] / 255
    over = Image.fromarray(np.rint(levels[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    found = 255 * to_input(photo)
    assert np.abs(found - 255 * to_input(over)).max() <= 2
