"""Stage explore: figures with the right data, exact statistics, and every duplicate."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic

from pipeline.core import files, paths, splits
from pipeline.core.splits import Split, read_split
from pipeline.datasets.cifar10 import CLASSES
from pipeline.datasets.npz import write_npz
from pipeline.explore import explore, figures
from pipeline.plotting import Axes, Figure

SIZES = {"train": 60, "validation": 20, "test": 30}


def make_parts() -> dict[str, Split]:
    return {name: Split(*synthetic.arrays(count, seed=count)) for name, count in SIZES.items()}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with three small splits and params.yaml, as the current one."""
    monkeypatch.chdir(tmp_path)
    set_params(seed=1)
    files.write_text(paths.CLASS_NAMES, "\n".join(CLASSES))
    for name, split in make_parts().items():
        write_npz(paths.split(name), **split._asdict())


def set_params(seed: int) -> None:
    Path("params.yaml").write_text(f"explore: {{seed: {seed}, images_per_class: 3}}\n")


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(explore.REPORTS.iterdir())}


@pytest.mark.usefixtures("workspace")
def test_same_bytes_twice_and_other_samples_by_another_seed() -> None:
    explore.main([])
    first = outputs()
    names = ["by_class.png", "classes.png", "samples.png", "summary.json", "summary.md"]
    assert list(first) == names
    explore.main([])
    assert outputs() == first
    set_params(seed=2)
    explore.main([])
    changed = [name for name, content in outputs().items() if content != first[name]]
    assert changed == ["by_class.png", "samples.png"]
    summary = explore.summarize({name: read_split(name) for name in splits.NAMES}, CLASSES)
    assert json.loads(first["summary.json"]) == summary
    assert first["summary.md"].decode().rstrip("\n") == explore.to_markdown(summary)


@pytest.mark.usefixtures("workspace")
def test_figures_show_the_training_images_that_the_seed_selects(drawn: dict[str, Figure]) -> None:
    set_params(seed=5)
    explore.main([])
    train = read_split("train")
    indices = figures.sample_indices(60, 5, 10)
    assert len(set(indices)) == 10
    for axes, index in zip(drawn["samples.png"].axes, indices, strict=True):
        np.testing.assert_array_equal(image_data(axes), train.images[index])
        assert axes.get_title() == CLASSES[train.labels[index].argmax()]


def image_data(axes: Axes) -> np.ndarray:
    (image,) = axes.images
    return np.asarray(image.get_array())


def test_fewer_images_than_panels(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    figures.draw_samples(Split(*synthetic.arrays(4, seed=1)), CLASSES, 1, tmp_path / "samples.png")
    assert [len(panel.images) for panel in drawn["samples.png"].axes] == [1] * 4 + [0] * 6


@pytest.mark.parametrize(
    ("count", "side", "columns"), [(2, 16, 1), (14, 32, 1), (15, 32, 2), (81, 20, 6)]
)
def test_strips_of_any_number_of_classes(
    tmp_path: Path, drawn: dict[str, Figure], count: int, side: int, columns: int
) -> None:
    """Three images of each, but one of the first class, which has no more."""
    names = [f"$x_{number}$" for number in range(count)]
    labels = np.array([label for label in range(count) for _ in range(5 if label else 1)])
    images = np.random.default_rng(1).random((len(labels), side, side, 3), np.float32)
    split = Split(images, np.eye(count, dtype=np.float32)[labels])
    figures.draw_samples_by_class(split, names, 1, 3, tmp_path / "by_class.png")
    figure = drawn["by_class.png"]
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == columns
    strips = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}
    for label, name in enumerate(names):
        strip = image_data(strips[name])
        assert strip.shape == (side, side * (3 if label else 1), 3)
        for image in np.split(strip, strip.shape[1] // side, axis=1):
            assert labels[(images == image).all(axis=(1, 2, 3))].tolist() == [label]
        assert strips[name].get_xlim() == (-0.5, 3 * side - 0.5)  # one scale


@pytest.mark.parametrize(("names", "rotation"), [(CLASSES, 0), ([f"${n}$" for n in range(81)], 90)])
def test_bars_of_the_images_per_class(
    tmp_path: Path, drawn: dict[str, Figure], names: list[str], rotation: int
) -> None:
    counts = {
        name: [100 * number + label for label in range(len(names))]
        for number, name in enumerate(splits.NAMES, 1)
    }
    statistics = {
        name: {"images": 1000, "images_per_class": dict(zip(names, own, strict=True))}
        for name, own in counts.items()
    }
    figures.draw_class_counts(statistics, tmp_path / "classes.png")
    (axes,) = drawn["classes.png"].axes
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == list(names)
    assert {label.get_rotation() for label in labels} == {rotation}
    bars: list[Any] = list(axes.patches)
    assert [bar.get_height() for bar in bars] == [*itertools.chain(*counts.values())]
    centers = [bar.get_center()[0] for bar in bars]
    assert np.rint(centers).tolist() == [*range(len(names))] * 3
    assert len(set(centers)) == len(centers)
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}) == 3


def test_statistics_of_the_splits_and_in_total() -> None:
    parts = make_parts()
    duller = (np.rint(parts["train"].images * 100) + 20) / np.float32(255)
    parts["train"] = Split(duller, parts["train"].labels)
    summary = explore.summarize(parts, CLASSES)
    everything = Split(*map(np.concatenate, zip(*parts.values(), strict=True)))
    for statistics, (images, labels) in [
        *zip(summary["splits"].values(), parts.values(), strict=True),
        (summary["total"], everything),
    ]:
        assert statistics["images"] == len(images)
        assert (statistics["minimum"], statistics["maximum"]) == (images.min(), images.max())
        assert statistics["images_per_class"] == dict(
            zip(CLASSES, labels.sum(axis=0).tolist(), strict=True)
        )
        for index, channel in enumerate(("red", "green", "blue")):
            values = images[..., index].astype(np.float64)
            own = statistics["channels"][channel]
            assert own["mean"] == pytest.approx(values.mean(), abs=1e-6)
            assert own["standard_deviation"] == pytest.approx(values.std(), abs=1e-6)
    first = summary["splits"]["train"]
    assert (first["image_shape"], first["label_shape"]) == ([32, 32, 3], [10])
    assert (first["image_dtype"], first["label_dtype"]) == ("float32", "float32")


def test_duplicates_within_and_across_splits() -> None:
    parts = make_parts()
    train, validation, test = (parts[name].images for name in splits.NAMES)
    train[7] = train[8]
    train[7, 31, 31, 2] = (np.rint(train[8, 31, 31, 2] * 255) + 1) % 256 / np.float32(255)
    assert explore.summarize(parts, CLASSES)["duplicates"]["total"] == 0
    train[5] = train[9] = train[2]
    test[:3] = train[:3]  # one of them the image that train has three times
    validation[0] = test[20]
    assert explore.summarize(parts, CLASSES)["duplicates"] == {
        "within": {"train": 2, "validation": 0, "test": 0},
        "across": {"train and validation": 0, "train and test": 3, "validation and test": 1},
        "total": 6,
    }


def test_table_agrees_with_the_summary() -> None:
    parts = make_parts()
    parts["test"].images[1] = parts["test"].images[0]
    names = ["images", "a|b", *CLASSES[2:]]  # a class of any name has its row
    summary = explore.summarize(parts, names)
    summary["total"]["images_per_class"]["truck"] = 60_000
    summary["total"]["minimum"] = 0.25
    lines = [line for line in explore.to_markdown(summary).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert rows[0] == ["", "train", "validation", "test", "total"]
    assert [row[1:] for row in rows[2:-3]] == [
        ["60", "20", "30", "110"],
        ["0", "0", "0", "0.25"],
        ["1", "1", "1", "1"],
        ["0", "0", "1", "1"],
        *[["6", "2", "3", "11"]] * 9,
        ["6", "2", "3", "60,000"],
        ["1.0 : 1", "1.0 : 1", "1.0 : 1", "5454.5 : 1"],
    ]
    assert [row[0] for row in rows[6:16]] == ["images", r"a\|b", *CLASSES[2:]]
    blue = summary["total"]["channels"]["blue"]
    assert rows[-1][-1] == f"{blue['mean']:.6f} ± {blue['standard_deviation']:.6f}"
