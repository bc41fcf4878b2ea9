"""Stage preprocess on folders of photos: from files of any kind to arrays that are as promised."""

import re
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.explore import explore
from pipeline.photos import files as photo_files
from pipeline.preprocess import parts
from pipeline.preprocess import stage as preprocess
from pipeline.preprocess.parts import Part
from pipeline.report.figures import Figure

PHOTOS = Path("my photos")
PROCESSED = Path("data/processed")
Colour = tuple[int, int, int]


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    set_params()


def set_params(**changes: object) -> None:
    dataset = {
        "kind": "photos",
        "folder": str(PHOTOS),
        "side": 16,
        "framing": "centre",
        "validation_share": 0.2,
        "test_share": 0.2,
        "seed": 1,
        "duplicates": "keep",
    }
    content = {"dataset": dataset | changes, "explore": {"seed": 1, "images_per_class": 3}}
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def colour(number: int) -> Colour:
    """Another one for each number."""
    return (number % 256, number // 256, 77)


def save(path: Path, shown: Colour, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), shown).save(path, kind)


def undivided(each: int = 40, names: tuple[str, ...] = ("cat", "dog")) -> None:
    """A folder of so many photos of each class, of another colour each."""
    for label, name in enumerate(names):
        for number in range(each):
            save(PHOTOS / name / f"{number}.png", colour(label * each + number))


def divided(names: tuple[str, ...] = ("cat", "dog"), each: int = 2) -> None:
    """A folder with all three splits and so many photos of each class in each."""
    number = 0
    for split in splits.NAMES:
        for name in names:
            for _ in range(each):
                save(PHOTOS / split / name / f"{number}.png", colour(number))
                number += 1


def written() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(PROCESSED.iterdir())}


def members() -> dict[Colour, str]:
    """The split of each photo, by its colour."""
    found: dict[Colour, str] = {}
    for name in splits.NAMES:
        pixels = np.rint(splits.read(name).images[:, 0, 0] * 255).astype(int)
        own = {(int(r), int(g), int(b)): name for r, g, b in pixels}
        assert not found.keys() & own.keys()
        found |= own
    return found


def refusal() -> list[str]:
    """The lines of what the stage says, which writes nothing."""
    with pytest.raises(PipelineError) as caught:
        preprocess.main([])
    assert not PROCESSED.exists()
    return str(caught.value).splitlines()


def test_splits_labels_and_names_agree_with_the_folders() -> None:
    divided(("zebra", "Ant", "äpfel"))
    preprocess.main([])
    assert classes.read() == ("Ant", "zebra", "äpfel")
    assert (PROCESSED / "classes.txt").read_bytes() == "Ant\nzebra\näpfel\n".encode()
    for start, name in ((0, "train"), (6, "validation"), (12, "test")):
        images, labels = splits.read(name)
        assert images.shape == (6, 16, 16, 3)
        assert labels.tolist() == np.repeat(np.eye(3), 2, axis=0).tolist()
        # Zebra was the first to be saved, and is the second class.
        numbers = [start + number for number in (2, 3, 0, 1, 4, 5)]
        expected = np.array([colour(number) for number in numbers], np.float32) / 255
        np.testing.assert_array_equal(images, np.tile(expected[:, None, None], (1, 16, 16, 1)))


def test_pixels_are_those_that_predict_sees_in_levels_of_255() -> None:
    generator = np.random.default_rng(1)
    for split in splits.NAMES:
        for name in ("cat", "dog"):
            pixels = generator.integers(256, size=(31, 47, 3), dtype=np.uint8)
            (PHOTOS / split / name).mkdir(parents=True)
            Image.fromarray(pixels).save(PHOTOS / split / name / "1.jpg", "JPEG")
    set_params(framing="whole")
    preprocess.main([])
    for split in splits.NAMES:
        found = splits.read(split).images
        for name, image in zip(("cat", "dog"), found, strict=True):
            path = PHOTOS / split / name / "1.jpg"
            seen = photo_files.read(path, side=16, framing="whole")
            np.testing.assert_array_equal(image, np.rint(seen * 255) / np.float32(255))
            np.testing.assert_allclose(image, seen, atol=1e-6)  # of 8 bits nothing is lost


def grey_of_16_bits(path: Path) -> None:
    Image.fromarray(np.full((9, 9), 0x8000, np.uint16)).save(path, "PNG")


# Each with the colour that it has, over white where it is transparent.
MIXED: dict[str, tuple[Callable[[Path], object], Colour]] = {
    "grey.png": (lambda path: Image.new("L", (9, 9), 120).save(path), (120, 120, 120)),
    "black and white.png": (lambda path: Image.new("1", (9, 9), 0).save(path), (0, 0, 0)),
    "deep grey.png": (grey_of_16_bits, (128, 128, 128)),
    "cmyk.jpg": (
        lambda path: Image.new("CMYK", (9, 9), (0, 255, 255, 0)).save(path, "JPEG"),
        (255, 0, 0),
    ),
    "transparent.png": (
        lambda path: Image.new("RGBA", (9, 9), (0, 0, 0, 128)).save(path),
        (127, 127, 127),
    ),
    "palette.gif": (lambda path: Image.new("RGB", (9, 9), (9, 8, 7)).save(path), (9, 8, 7)),
    "web p.webp": (
        lambda path: Image.new("RGB", (9, 9), (50, 60, 70)).save(path, lossless=True),
        (50, 60, 70),
    ),
    "küste.tiff": (lambda path: Image.new("RGB", (9, 9), (1, 2, 3)).save(path), (1, 2, 3)),
    "photo.jpg": (
        lambda path: Image.new("RGB", (9, 9), (100, 100, 100)).save(path),
        (100, 100, 100),
    ),
    "bitmap": (lambda path: Image.new("RGB", (9, 9), (4, 5, 6)).save(path, "BMP"), (4, 5, 6)),
    "named wrongly.jpg": (
        lambda path: Image.new("RGB", (9, 9), (5, 6, 7)).save(path, "PNG"),
        (5, 6, 7),
    ),
    "one pixel.png": (lambda path: Image.new("RGB", (1, 1), (6, 7, 8)).save(path), (6, 7, 8)),
    "a line.png": (lambda path: Image.new("RGB", (1, 300), (7, 8, 9)).save(path), (7, 8, 9)),
    "large.jpg": (
        lambda path: Image.new("RGB", (5000, 5000), (200, 200, 200)).save(path),
        (200, 200, 200),
    ),
    "line\nend.png": (lambda path: Image.new("RGB", (9, 9), (8, 9, 10)).save(path), (8, 9, 10)),
}


@pytest.mark.parametrize("side", [16, 256])
def test_photos_of_any_kind_and_size_have_their_colours(side: int) -> None:
    divided()
    for name, (make, _) in MIXED.items():
        make(PHOTOS / "train/cat" / name)
    set_params(side=side)
    preprocess.main([])
    images, labels = splits.read("train")
    assert images.shape == (4 + len(MIXED), side, side, 3)
    assert labels[:, 0].sum() == 2 + len(MIXED)
    of_cat = sorted(["0.png", "1.png", *MIXED])
    for name, (_, expected) in MIXED.items():
        found = images[of_cat.index(name)] * 255
        alike = np.broadcast_to(np.array(expected, np.float32), found.shape)
        np.testing.assert_allclose(found, alike, atol=0.01, err_msg=name)


@pytest.mark.parametrize(
    ("framing", "top", "edge"),
    [("centre", (0, 255, 0), (0, 255, 0)), ("whole", (255, 255, 255), (255, 0, 0))],
)
def test_a_wide_photo_is_cut_or_has_white_beside_it(
    framing: str, top: Colour, edge: Colour
) -> None:
    divided()
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, :40] = 255, 0, 0
    pixels[:, 40:80] = 0, 255, 0
    pixels[:, 80:] = 0, 0, 255
    Image.fromarray(pixels).save(PHOTOS / "train/cat/a.png")
    set_params(framing=framing, side=24)
    preprocess.main([])
    image = splits.read("train").images[2] * 255
    assert image[0, 12].tolist() == image[-1, 12].tolist() == list(top)
    assert image[12, 12].tolist() == [0, 255, 0]
    assert image[12, 1].tolist() == list(edge)


def truncated(path: Path) -> None:
    noise = np.random.default_rng(1).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:2000])


def test_broken_photos_are_all_named_at_once_and_nothing_is_written() -> None:
    divided()
    truncated(PHOTOS / "train/cat/trunc ated.jpg")
    (PHOTOS / "train/dog/text.jpg").write_text("no photo")
    (PHOTOS / "validation/dog/empty.png").touch()
    (PHOTOS / "test/cat/line\nend.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (PHOTOS / "test/dog/gone.png").symlink_to("nowhere")
    said = refusal()
    expected = [
        r"train/cat/trunc ated\.jpg: cannot read this image: .*truncated",
        r"train/dog/text\.jpg: expected an image, found something that Pillow cannot read",
        r"validation/dog/empty\.png: expected an image, found it empty",
        r"test/cat/line\\nend\.png: ",
        r"test/dog/gone\.png: no such file",
    ]
    assert len(said) == len(expected)
    for line, text in zip(said, expected, strict=True):
        assert re.match(rf"{PHOTOS}/{text}", line)


def test_a_folder_that_is_odd_is_refused_before_a_photo_is_read() -> None:
    divided()
    (PHOTOS / "train/cat/text.jpg").write_text("no photo")
    shutil.rmtree(PHOTOS / "test/dog")
    (said,) = refusal()
    assert said.startswith(f"{PHOTOS}: class 'dog' is missing from test")


def test_an_undivided_folder_is_divided_by_its_shares() -> None:
    undivided(each=100)
    preprocess.main([])
    for name, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        labels = splits.read(name).labels
        assert labels.sum(axis=0).tolist() == pytest.approx([100 * share] * 2, abs=15)
    assert len(members()) == 200


@pytest.mark.parametrize("missing", ["validation", "test"])
def test_a_missing_split_is_taken_from_train_alone(missing: str) -> None:
    divided(each=20)
    shutil.rmtree(PHOTOS / missing)
    preprocess.main([])
    found = members()
    assert len(found) == 80
    (other,) = {"validation", "test"} - {missing}
    start = 40 * splits.NAMES.index(other)
    kept = {colour(number) for number in range(start, start + 40)}
    assert {shown for shown, split in found.items() if split == other} == kept
    assert 2 <= sum(split == missing for split in found.values()) <= 16


def test_a_photo_that_is_added_taken_away_or_renamed_moves_no_other() -> None:
    undivided()
    preprocess.main([])
    before = members()
    assert set(before.values()) == set(splits.NAMES)
    save(PHOTOS / "cat/00 new.png", colour(1000))
    (PHOTOS / "cat/7.png").rename(PHOTOS / "cat/z.png")
    (PHOTOS / "dog/9.png").unlink()
    preprocess.main([])
    after = members()
    del after[colour(1000)], before[colour(49)]
    assert after == before


def test_only_the_seed_divides_otherwise() -> None:
    undivided()
    preprocess.main([])
    first = members()
    set_params(side=24, framing="whole", duplicates="drop")
    preprocess.main([])
    found = {name: splits.read(name).images for name in splits.NAMES}
    assert {name: len(images) for name, images in found.items()} == {
        name: list(first.values()).count(name) for name in splits.NAMES
    }
    set_params(seed=2)
    preprocess.main([])
    assert members() != first


def test_copies_in_two_splits_are_kept_or_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    divided()
    for number, name in enumerate(("train", "validation", "test")):
        save(PHOTOS / name / "cat/same", colour(999), ("PNG", "BMP", "TIFF")[number])
    preprocess.main([])
    assert [len(splits.read(name).images) for name in splits.NAMES] == [5, 5, 5]
    assert "dropped" not in capsys.readouterr().out
    set_params(duplicates="drop")
    preprocess.main([])
    assert [len(splits.read(name).images) for name in splits.NAMES] == [4, 4, 5]
    assert members()[colour(999)] == "test"
    said = "preprocess: 2 photos dropped, as a split to measure by has them as well\n"
    assert capsys.readouterr().out.endswith(said)


def test_a_class_with_too_few_photos_is_refused_with_the_numbers() -> None:
    undivided()
    for number in range(3):
        save(PHOTOS / "few" / f"{number}.png", colour(500))
    possible = [
        f"{PHOTOS}: class 'few': expected at least one of its 3 photos in {split}, found none; "
        "add photos, or change the shares, the seed or the duplicates of dataset"
        for split in splits.NAMES
    ]
    said = refusal()
    assert len(said) == 2  # as photos of the same bytes are in the same split
    assert set(said) < set(possible)


def test_bytes_are_the_same_twice_and_with_another_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undivided()
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    preprocess.main([])
    first = written()
    assert sorted(first) == ["classes.txt", "test.npz", "train.npz", "validation.npz"]
    for threads in (1, 7):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        preprocess.main([])
        assert written() == first


def test_progress_is_a_few_lines_where_it_goes_into_a_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    undivided(each=25)
    preprocess.main([])
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"preprocess: {number} of 50 photos read" for number in (10, 20, 30, 40, 50)
    ]
    assert said.err == ""


@pytest.mark.parametrize("side", [16, 32, 256])
def test_images_are_scaled_a_few_at_a_time(side: int) -> None:
    levels = np.random.default_rng(1).integers(256, size=(9, side, side, 3), dtype=np.uint8)
    chosen = np.array([8, 3, 3, 0, 5])
    scaled = parts.scaled(Part(levels, np.zeros(9, int), chosen))
    assert scaled.shape == (5, side, side, 3)
    assert scaled.dtype == np.float32
    blocks = list(scaled.blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), levels[chosen] / np.float32(255))
    assert max(block.size for block in blocks) <= 800_000  # floats, 3 MB


def test_arrays_are_written_without_being_whole_in_memory() -> None:
    levels = np.zeros((2000, 64, 64, 3), np.uint8)
    part = Part(levels, np.zeros(len(levels), int), np.arange(len(levels)))
    tracemalloc.start()
    files.write_arrays(splits.path("train"), images=parts.scaled(part))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert splits.path("train").stat().st_size > 98_000_000
    assert most < 12_000_000


def test_explore_shows_more_than_twenty_classes(drawn: dict[str, Figure]) -> None:
    names = tuple(f"kind {number:02}" for number in range(21))
    divided(names, each=1)
    preprocess.main([])
    explore.main([])
    titles = {axes.get_title(loc="left") for axes in drawn["by_class.png"].axes if axes.images}
    assert titles == set(names)
    table = Path("reports/data/summary.md").read_text(encoding="utf-8")
    assert all(re.search(rf"\| {name} +\| +1 \| +1 \| +1 \| +3 \|", table) for name in names)
    assert "labels 21 one-hot values" in table


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"side": 15}, r"side: expected a number of at least 16, found 15"),
        ({"side": 257}, r"side: expected a number of at most 256, found 257"),
        ({"side": 32.0}, r"side: expected a whole number, found 32\.0"),
        ({"framing": "center"}, r"framing: expected 'centre' or 'whole', .*mean 'centre'"),
        ({"validation_share": 0}, r"validation_share: expected a number above 0, found 0"),
        ({"test_share": 1}, r"test_share: expected a number below 1, found 1"),
        ({"duplicates": True}, r"duplicates: expected 'keep' or 'drop', found true"),
        ({"folder": ""}, r"folder: expected .*found \"\""),
        ({"seed": "x"}, r"seed: expected a whole number"),
        ({"train_images": 10}, r"train_images: unknown key"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], text: str) -> None:
    set_params(**changes)
    (said,) = refusal()
    assert re.match(rf"params\.yaml: dataset\.{text}", said)


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    set_params(validation_share=0.5, test_share=0.5)
    (said,) = refusal()
    assert said.startswith(
        "params.yaml: dataset: expected validation_share and test_share of less than 1 together"
    )
