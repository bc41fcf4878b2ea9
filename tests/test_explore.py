"""Stage explore: figures with the right data, exact statistics, and every duplicate."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import synthetic
from PIL import Image

from pipeline.core import files, paths, splits
from pipeline.core.splits import Split
from pipeline.datasets import explore
from pipeline.datasets.cifar10 import CLASSES
from pipeline.datasets.explore import Explore
from pipeline.datasets.preprocess import write_npz
from pipeline.plotting import Figure

SIZES = {"train": 1060, "validation": 20, "test": 30}


def make_parts() -> dict[str, Split]:
    return {name: Split(*synthetic.arrays(count, seed=count)) for name, count in SIZES.items()}


def run(seed: int) -> dict[str, bytes]:
    """The outputs of the stage for the three splits, in the current folder."""
    Path("params.yaml").write_text(f"explore: {{seed: {seed}, images_per_class: 3}}\n")
    files.write_text(paths.CLASS_NAMES, "\n".join(CLASSES))
    for name, split in make_parts().items():
        write_npz(paths.split(name), **split._asdict())
    explore.main([])
    return {path.name: path.read_bytes() for path in sorted(explore.REPORTS.iterdir())}


def test_same_bytes_twice_and_other_images_by_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run(seed=1)
    assert list(first) == ["by_class.png", "summary.md"]
    assert first["summary.md"].decode() == explore.summarize(make_parts(), CLASSES) + "\n"
    assert run(seed=1) == first
    second = run(seed=2)
    assert [name for name in first if second[name] != first[name]] == ["by_class.png"]


@pytest.mark.parametrize(
    ("count", "side", "columns"), [(2, 16, 1), (14, 32, 1), (15, 32, 2), (81, 20, 6)]
)
def test_rows_of_any_number_of_classes(
    tmp_path: Path, drawn: dict[str, Figure], count: int, side: int, columns: int
) -> None:
    """Three images of each, but one of the first class, which has no more."""
    names = [f"$x_{number}$" for number in range(count)]
    labels = np.array([label for label in range(count) for _ in range(5 if label else 1)])
    images = np.random.default_rng(1).random((len(labels), side, side, 3), np.float32)
    split = Split(images, np.eye(count, dtype=np.float32)[labels])
    settings = Explore(seed=1, images_per_class=3)
    explore.draw_images_by_class(split, names, settings, tmp_path / "by_class.png")
    figure = drawn["by_class.png"]
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == columns
    rows = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}
    for label, name in enumerate(names):
        row = np.asarray(rows[name].images[0].get_array())
        shown = [
            int(index)
            for image in np.split(row, row.shape[1] // side, axis=1)
            for index in np.flatnonzero((images == image).all(axis=(1, 2, 3)))
        ]
        assert labels[shown].tolist() == [label] * (3 if label else 1)
        assert len(set(shown)) == len(shown)
        assert rows[name].get_xlim() == (-0.5, 3 * side - 0.5)  # one scale


def test_near_copies_are_other_files_of_a_picture() -> None:
    """Smooth pictures: half of them as thumbnails, some as exact copies, the others are new."""
    coarse = np.random.default_rng(1).integers(0, 256, (90, 6, 6, 3), np.uint8)
    pictures = [
        Image.fromarray(image).resize((48, 48), Image.Resampling.BICUBIC) for image in coarse
    ]
    copies = [picture.resize((20, 20)).resize((48, 48)) for picture in pictures[:30]]
    for number, copy in enumerate(copies):
        file = io.BytesIO()
        copy.save(file, "JPEG", quality=50)
        copies[number] = Image.open(file)
    train = np.stack([np.asarray(picture) for picture in pictures[:60]])
    others = np.stack([np.asarray(image) for image in (*copies, *pictures[50:])])
    assert explore.near_copies(others, train) == 30
    assert explore.near_copies(others[30:], train) == 0


def test_summary_of_counts_duplicates_and_channels() -> None:
    parts = make_parts()
    train, validation, test = (parts[name].images for name in splits.NAMES)
    train[:] = np.rint(train * 100) / 255
    train[7] = train[8]
    train[7, 31, 31, 2] += np.float32(1 / 255)  # nearly a duplicate
    train[5] = train[9] = train[2]
    test[:3] = train[:3]  # one of them the image that train has three times
    validation[0] = test[20]
    names = ["images", "a|b", *CLASSES[2:]]  # a class of any name has its row
    summary = explore.summarize(parts, names)
    lines = [line for line in summary.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert rows[0] == ["", "train", "validation", "test"]
    assert [row[0] for row in rows[2:12]] == ["images", r"a\|b", *CLASSES[2:]]
    assert [row[1:] for row in rows[2:12]] == [["106", "2", "3"]] * 10
    assert rows[12:16] == [
        ["images", "1,060", "20", "30"],
        ["duplicates in train", "2", "0", "3"],
        ["duplicates in validation", "0", "0", "1"],
        ["duplicates in test", "3", "1", "0"],
    ]
    assert rows[16] == ["near-copies in train", "", "0", "0"]
    for index, row in enumerate(rows[17:]):
        for cell, (images, _) in zip(row[1:], parts.values(), strict=True):
            values = images[..., index].astype(np.float64)
            found = [float(number) for number in cell.split(" ± ")]
            assert found == pytest.approx([values.mean(), values.std()], abs=1e-6)
    assert [row[0].split(",")[0] for row in rows[17:]] == ["red", "green", "blue"]
