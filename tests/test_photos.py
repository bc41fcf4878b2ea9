"""A photo as preprocess and predict read it: at any side, framed either way, in any thread.

Formats and damage: test_image_files.py and test_odd_photos.py.
"""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.data.settings import Framing
from pipeline.photos import files, pixels
from pipeline.predict.predictor import load_images

SIDES = (16, 64, 256)
FRAMINGS: tuple[Framing, ...] = get_args(Framing)


def noise(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(levels)


def bands(*colours: str) -> Image.Image:
    """Squares of 80 pixels, one beside the other."""
    image = Image.new("RGB", (80 * len(colours), 80))
    for place, colour in enumerate(colours):
        image.paste(colour, (80 * place, 0, 80 * place + 80, 80))
    return image


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("upright", [False, True])
def test_the_whole_photo_stands_in_the_middle_on_white(side: int, upright: bool) -> None:
    image = bands("red", "blue")
    if upright:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    found = pixels.to_input(image, side=side, framing="whole")
    found = found.transpose(1, 0, 2) if upright else found
    quarter, half = side // 4, side // 2
    assert (found[:quarter] == 1).all()
    assert (found[-quarter:] == 1).all()
    seam = side // 8  # to which the filter reaches
    left, right = found[quarter:-quarter, : half - seam], found[quarter:-quarter, half + seam :]
    np.testing.assert_allclose(left, np.broadcast_to((1, 0, 0), left.shape), atol=0.03)
    np.testing.assert_allclose(right, np.broadcast_to((0, 0, 1), right.shape), atol=0.03)


@pytest.mark.parametrize("side", SIDES)
def test_of_the_centre_nothing_is_white_and_the_ends_are_lost(side: int) -> None:
    found = pixels.to_input(bands("red", "lime", "blue"), side=side, framing="centre")
    assert found.shape == (side, side, 3)
    rim = side // 16  # to which the filter reaches beyond the cut
    assert found[:, rim:-rim, 1].min() > 0.95
    assert found[:, rim:-rim, [0, 2]].max() < 0.05


@pytest.mark.parametrize("side", SIDES)
def test_of_a_square_both_are_the_same(side: int) -> None:
    image = noise(100, 100)
    centre, whole = (pixels.to_input(image, side=side, framing=framing) for framing in FRAMINGS)
    assert centre.tobytes() == whole.tobytes()


def test_shape_and_place_of_the_whole() -> None:
    """In proportion, halves up; an odd row of white more is below or to the right."""
    for size, (width, height) in {
        (100, 50): (16, 8),
        (160, 70): (16, 7),
        (320, 150): (16, 8),  # 7.5
        (50, 100): (8, 16),
    }.items():
        found = pixels.to_input(Image.new("RGB", size), side=16, framing="whole")[:, :, 0]
        rows, columns = np.flatnonzero((found == 0).any(1)), np.flatnonzero((found == 0).any(0))
        assert (len(columns), len(rows)) == (width, height)
        assert (columns[0], rows[0]) == ((16 - width) // 2, (16 - height) // 2)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_no_photo_is_too_narrow(size: tuple[int, int], framing: Framing, kind: Any) -> None:
    levels = np.zeros(size[::-1], kind)
    for side in SIDES:
        found = pixels.to_input(Image.fromarray(levels), side=side, framing=framing)
        assert found.shape == (side, side, 3)
        assert found.dtype == np.float32
        dark = np.count_nonzero(found[:, :, 0] == 0)
        long = side * max(1, round(side * min(size) / max(size)))
        assert dark == (side * side if framing == "centre" else long)


def test_deep_grey_of_the_whole_keeps_its_depth_beside_white() -> None:
    deep = Image.fromarray(np.full((20, 40), 13107, np.uint16))
    found = pixels.to_input(deep, side=16, framing="whole")
    assert (found[:4] == 1).all()
    np.testing.assert_allclose(found[4:12], 0.2, atol=1e-6)
    # Without an agreed white its own brightest is, and what stands beside it does not count.
    ramp = Image.fromarray(np.tile(np.linspace(-9, 7, 40, dtype=np.float32), (20, 1)))
    found = pixels.to_input(ramp, side=16, framing="whole")
    assert (found[:4] == 1).all()
    assert (found[4:12].min(), found[4:12].max()) == (0, 1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_large_jpeg_decoded_small_looks_the_same(
    tmp_path: Path, side: int, framing: Framing
) -> None:
    image = noise(160, 120).resize((2560, 1920), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    found = files.read(tmp_path / "a.jpg", side=side, framing=framing)
    with Image.open(tmp_path / "a.jpg") as whole:
        expected = pixels.to_input(whole, side=side, framing=framing)
    assert np.abs(found - expected).max() < 0.02


def test_predict_reads_as_preprocess_does(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.png", "b.jpg", "c.tiff")]
    for name in names:
        noise(70, 50).save(name)
    for framing in FRAMINGS:
        loaded = load_images(names, side=48, crop_mode=framing)
        read = [files.read(Path(name), side=48, framing=framing) for name in names]
        assert np.array_equal(loaded, read)


def test_a_bad_file_is_named_as_predict_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        with pytest.raises(PipelineError) as one:
            files.read(path, side=64, framing="whole")
        with pytest.raises(PipelineError) as other:
            load_images([str(path)], side=64, crop_mode="whole")
        assert str(one.value) == str(other.value)
        assert one.value.__context__ is None  # which would keep the pixels in memory


def test_reading_travels_to_another_process(tmp_path: Path) -> None:
    noise(9, 9).save(tmp_path / "a.png")
    task = pickle.loads(pickle.dumps(partial(files.read, side=16, framing="whole")))  # noqa: S301
    assert task(tmp_path / "a.png").shape == (16, 16, 3)


def test_threads_find_each_bomb_and_leave_the_filters_of_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, width in (("small", 9), ("large", 11)):
        noise(width, width).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # at up to twice that Pillow but warns
    before = list(warnings.filters)

    def read(name: str) -> str:
        try:
            files.read(tmp_path / f"{name}.png", side=16, framing="centre")
        except PipelineError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, ["small", "large"] * 200))
    assert set(found[::2]) == {""}
    assert all("pixels, found more; scale it down" in problem for problem in found[1::2])
    assert list(warnings.filters) == before
