"""Folders of images, and image files to square arrays: what is read, and what is refused."""

import io
import re
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import workspace
from conftest import PROJECT
from PIL import Image
from PIL.Image import Transpose

from pipeline.core.errors import PipelineError
from pipeline.datasets import image_loading

load = partial(image_loading.load_image, side=32, crop_mode="centre")
RED, GREEN, BLUE, WHITE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)
SIZE = (90, 60)
solid = partial(Image.new, size=SIZE)
# By EXIF orientation from 2 on.
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


# An orientation of 6 and a GPS directory with a signed rational -1 / 0, as some cameras write it:
# Pillow reads it, but cannot write it.
CAMERA = struct.pack("<HHHIIHHIII", 2, 274, 3, 1, 6, 0x8825, 4, 1, 38, 0)
CAMERA += struct.pack("<HHHIIIii", 1, 6, 10, 1, 56, 0, -1, 0)
# The byte order, the rest of the EXIF data, and how an upright image is stored.
EXIF: list[tuple[bytes, bytes, Transpose | None]] = [
    *(
        (b"II", struct.pack("<HHHIII", 1, 274, 3, 1, orientation, 0), transposed)
        for orientation, transposed in enumerate(TRANSPOSED, 2)
    ),
    (b"II", CAMERA, Transpose.ROTATE_90),
    (b"XX", CAMERA, None),  # damaged
]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("order", "directory", "transposed"), EXIF)
def test_exif_orientation_is_applied_once(
    order: bytes, directory: bytes, transposed: Transpose | None, kind: str
) -> None:
    upright, exif = Image.fromarray(QUARTERS), b"Exif\0\0" + order + b"*\0\x08\0\0\0" + directory
    stored = upright if transposed is None else upright.transpose(transposed)
    pixels = load_encoded(stored, kind, exif=exif)
    quarters = [float(pixels[y, x, 0]) * 255 for y in (4, 27) for x in (4, 27)]
    assert quarters == pytest.approx([250, 170, 90, 0], abs=8)


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


# Folders.

NFC, NFD = "K\u00e4fer", "Ka\u0308fer"
BOTH = ["train/a/1.png", "train/b/1.png"]
# Nothing of these, in a class folder, is an image.
PASSED_OVER = [
    *(".DS_Store", "._1.jpg", "Thumbs.db", "notes", "1.jpg~", "photo.heic", "scan.tif"),
    *(".ipynb_checkpoints/1.jpg", "@eaDir/1.jpg", "deep/__MACOSX/er/1.jpg"),
]


def put(folder: Path, *files: str) -> Path:
    """`folder` with the empty `files`."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder: Path) -> dict[str, dict[str, list[str]]]:
    """The images with paths relative to `folder`."""
    return {
        split: {name: [str(p.relative_to(folder)) for p in own] for name, own in by_class.items()}
        for split, by_class in image_loading.list_images(folder).items()
    }


def test_class_folders_alone_are_all_for_training_in_the_order_of_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "dog/b.jpg", "dog/a.PNG", "cat/1.jp2", "ant/deep/er/1.gif", "ant/z.webp")
    put(tmp_path, "dog/10.png", "dog/2.png", "dog/train/1.png", "loose.jpg")
    put(tmp_path, *(f"cat/{name}" for name in PASSED_OVER))
    images = listed(tmp_path)
    passed_over = f"passed over {1 + len(PASSED_OVER)} other files, the first {tmp_path}/cat/.DS_"
    assert f"{tmp_path}: 8 photos; {passed_over}" in capsys.readouterr().out
    assert images == {
        "train": {
            "ant": ["ant/deep/er/1.gif", "ant/z.webp"],
            "cat": ["cat/1.jp2"],
            "dog": ["dog/10.png", "dog/2.png", "dog/a.PNG", "dog/b.jpg", "dog/train/1.png"],
        }
    }
    assert list(images["train"]) == ["ant", "cat", "dog"]


@pytest.mark.parametrize("name", image_loading.SPLIT_OF)
def test_split_folders_have_the_names_of_imagefolder(tmp_path: Path, name: str) -> None:
    split = image_loading.SPLIT_OF[name]
    for own in (name.capitalize(), "test" if split != "test" else "val", "train"):
        if own != "train" or split != "train":
            put(tmp_path / own, "a/1.png", "b/1.png", "loose.png")
    images = listed(tmp_path)
    assert list(images) == [own for own in ("train", "validation", "test") if own in images]
    assert images[split] == {own: [f"{name.capitalize()}/{own}/1.png"] for own in "ab"}


def test_dvc_tracks_every_image_that_is_listed(tmp_path: Path) -> None:
    """An image that DVC ignores would be missing from a clone."""
    put(tmp_path, *BOTH)
    expected = listed(tmp_path)
    put(tmp_path, *(f"train/a/{name}" for name in PASSED_OVER))
    assert listed(tmp_path) == expected
    workspace.run(tmp_path, "git", "init", "--quiet")
    workspace.run(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / ".dvcignore").write_text((PROJECT / ".dvcignore").read_text())
    assert workspace.run(tmp_path, "dvc", "check-ignore", *BOTH, expect=1) == ""
    ignored = ["train/a/1.jpg~", "train/a/._1.jpg"]
    assert workspace.run(tmp_path, "dvc", "check-ignore", *ignored).split() == ignored


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ([*BOTH, "val/a/1.png", "test/a/1.png", "test/b/1.png"], ["'b' .* validation"]),
        ([*BOTH, "test/a/1.png", "test/b/1.png", "test/c/1.png"], ["'c' .* train"]),
        (["a/1.png", "b/1.txt"], ["'b' .* train"]),
        (
            ["train/Cat/1.png", "train/b/1.png", "test/cat/1.png", "test/b/1.png"],
            ["'Cat' .* test", "'cat' .* train"],
        ),
        (["a/1.png"], ["^dataset.folder: .* 2 classes .* found a;"]),
        (["1.jpg"], ["^dataset.folder: .* 2 classes .* found none;"]),
        (["test/a/1.png", "test/b/1.png"], ["'a' .* train", "'b' .* train"]),
        (["cat/1.png", "dog/1.png", "Train/1.png"], ["Train, cat, dog"]),
        (["a/train/1.png", "a/test/1.png", "b/train/1.png"], ["a/train; swap"]),
        (["a/1.png", "b\nc/1.png"], [r"b\\nc: .*one line"]),
        (["a/1.png", "b/caf\udce9.png"], ["caf.*UTF-8"]),
        (["a/1.png", "b/1.png", "c/closed/1.png"], ["c/closed: .*permissions"]),
    ],
)
def test_what_is_wrong_is_named_in_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], lines: list[str]
) -> None:
    put(tmp_path, *files)
    monkeypatch.setattr("os.access", lambda path, _: path.name != "closed")  # root may read all
    with pytest.raises(PipelineError) as caught:
        image_loading.list_images(tmp_path)
    for line, expected in zip(str(caught.value).splitlines(), lines, strict=True):
        assert str(tmp_path) in line
        assert re.search(expected, line)


def test_class_names_are_in_one_unicode_normalization(tmp_path: Path) -> None:
    put(tmp_path, f"train/{NFD}/1.png", "train/Kz/1.png", f"test/{NFC}/1.png", "test/Kz/1.png")
    images = listed(tmp_path)
    assert list(images["train"]) == list(images["test"]) == ["Kz", NFC]


@pytest.mark.parametrize(
    ("folder", "start"),
    [
        ("class", "{}/b: "),
        ("deep", "{}/a/more: "),
        ("nowhere", "dataset.folder: .* {},"),
        ("file.png", "dataset.folder: .* {},"),
    ],
)
def test_links_to_folders_and_missing_folders_are_refused(
    tmp_path: Path, folder: str, start: str
) -> None:
    """DVC does not follow links."""
    put(tmp_path, "file.png", "class/a/1.png", "class/c/1.png", "deep/a/1.png", "deep/c/1.png")
    (tmp_path / "class/b").symlink_to(tmp_path / "deep")
    (tmp_path / "deep/a/more").symlink_to(tmp_path / "class")
    with pytest.raises(PipelineError, match=f"^{start.format(tmp_path / folder)}"):
        image_loading.list_images(tmp_path / folder)
