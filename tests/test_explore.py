"""Stage explore: a figure with the right data, exact statistics, and every duplicate."""

import re
from pathlib import Path

import numpy as np
import pytest
import synthetic

from pipeline.core import files, paths, splits
from pipeline.core.splits import Split
from pipeline.datasets import explore
from pipeline.datasets.cifar10 import CLASSES
from pipeline.datasets.preprocess import write_npz
from pipeline.plotting import Figure

SIZES = {"train": 1060, "validation": 20, "test": 30}


def make_parts() -> dict[str, Split]:
    return {name: Split(*synthetic.arrays(count, seed=count)) for name, count in SIZES.items()}


def test_the_outputs_are_the_same_bytes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_text(paths.CLASS_NAMES, "\n".join(CLASSES))
    for name, split in make_parts().items():
        write_npz(paths.split(name), **split._asdict())
    written = []
    for _ in range(2):
        explore.main([])
        written.append({path.name: path.read_bytes() for path in explore.REPORTS.iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["by_class.png", "summary.md"]
    assert written[0]["summary.md"].decode() == explore.summarize(make_parts(), CLASSES) + "\n"


@pytest.mark.parametrize(
    ("count", "side", "columns"), [(2, 16, 1), (14, 32, 1), (15, 32, 2), (81, 20, 6)]
)
def test_rows_of_any_number_of_classes(
    tmp_path: Path, drawn: dict[str, Figure], count: int, side: int, columns: int
) -> None:
    """Eight images of each, but one of the first class, which has no more."""
    names = [f"$x_{number}$" for number in range(count)]
    labels = np.array([label for label in range(count) for _ in range(10 if label else 1)])
    images = np.random.default_rng(1).random((len(labels), side, side, 3), np.float32)
    split = Split(images, np.eye(count, dtype=np.float32)[labels])
    explore.draw_images_by_class(split, names, tmp_path / "by_class.png")
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
        assert labels[shown].tolist() == [label] * (8 if label else 1)
        assert len(set(shown)) == len(shown)
        assert rows[name].get_xlim() == (-0.5, 8 * side - 0.5)  # one scale


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
    for index, row in enumerate(rows[16:]):
        for cell, (images, _) in zip(row[1:], parts.values(), strict=True):
            values = images[..., index].astype(np.float64)
            found = [float(number) for number in cell.split(" ± ")]
            assert found == pytest.approx([values.mean(), values.std()], abs=1e-6)
    assert [row[0].split(",")[0] for row in rows[16:]] == ["red", "green", "blue"]
