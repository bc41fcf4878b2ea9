"""Which test images a variant has right: the picture gives back what was written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.report import right


def pattern(count: int) -> np.ndarray:
    """No row of the picture is like another, nor like a column."""
    return np.random.default_rng(count).random(count) < 0.7


@pytest.mark.parametrize("count", [1, 99, 100, 101, 10_000])
def test_any_number_of_images_comes_back(tmp_path: Path, count: int) -> None:
    right.write(tmp_path / "new/right.png", pattern(count))
    found = right.read(tmp_path / "new/right.png", count, "run it again")
    assert found.dtype == bool
    assert found.tolist() == pattern(count).tolist()


def test_a_white_pixel_for_each_right_image_row_after_row_and_black_after_the_last(
    tmp_path: Path,
) -> None:
    right.write(tmp_path / "right.png", pattern(250))
    with Image.open(tmp_path / "right.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (100, 3))
        values = list(np.asarray(picture.convert("L")).ravel())
    assert values == [255 if one else 0 for one in pattern(250)] + [0] * 50


def test_bytes_do_not_depend_on_how_well_a_library_compresses(tmp_path: Path) -> None:
    for name in ("one", "other"):
        right.write(tmp_path / f"{name}.png", np.ones(10_000, bool))
    content = (tmp_path / "one.png").read_bytes()
    assert len(content) > 100 * 100 / 8
    assert content == (tmp_path / "other.png").read_bytes()


def grey(path: Path) -> None:
    Image.new("L", (100, 3)).save(path, "PNG")


def jpeg(path: Path) -> None:
    Image.new("L", (100, 3)).save(path, "JPEG")


def longer(path: Path) -> None:
    right.write(path, np.ones(301, bool))


def narrow(path: Path) -> None:
    Image.new("1", (10, 30)).save(path, "PNG")


def truncated(path: Path) -> None:
    right.write(path, pattern(10_000))
    path.write_bytes(path.read_bytes()[:200])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "No such file or directory"),
    "empty": (lambda path: path.write_bytes(b""), "something else"),
    "text": (lambda path: path.write_text("a,b\n1,2\n"), "something else"),
    "truncated": (truncated, ""),
    "jpeg": (jpeg, "something else"),
    "grey": (grey, "100 x 3 of mode L"),
    "of more images": (longer, "100 x 4 of mode 1"),
    "of other rows": (narrow, "10 x 30 of mode 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_names_the_file_and_what_makes_it_when_it_is_another_picture(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "right.png"
    right.write(path, pattern(250))
    change, found = DAMAGES[damage]
    change(path)
    with pytest.raises(PipelineError) as caught:
        right.read(path, 250, "run `dvc repro evaluate@deep`")
    message = str(caught.value)
    assert message.startswith(f"{path}: expected a picture of a black or white pixel for each of ")
    assert f"each of 250 test images, 100 a row, found {found}" in message
    assert message.endswith("; run `dvc repro evaluate@deep`")
