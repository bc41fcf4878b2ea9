"""Stage explore: figures with the right data, exact statistics, and every duplicate."""

import json
import re
from pathlib import Path

import numpy as np
import panels
import pytest
import synthetic
from made_up import NAMES

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.data.splits import Split
from pipeline.explore import explore, figures
from pipeline.report.figures import Axes, Figure

REPORTS = Path("reports/data")
SIZES = {"train": 60, "validation": 20, "test": 30}


def make_split(count: int) -> Split:
    return Split(*synthetic.arrays(count, seed=count))


def make_parts() -> dict[str, Split]:
    return {name: make_split(count) for name, count in SIZES.items()}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three small splits and params.yaml, as the current one."""
    monkeypatch.chdir(tmp_path)
    set_params(seed=1)
    classes.write(NAMES)
    for name, split in make_parts().items():
        files.write_arrays(splits.path(name), **split._asdict())
    return tmp_path


def set_params(seed: int) -> None:
    Path("params.yaml").write_text(f"explore: {{seed: {seed}, images_per_class: 3}}\n")


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(REPORTS.iterdir())}


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
    summary = explore.summarize({name: splits.read(name) for name in splits.NAMES}, NAMES)
    assert json.loads(first["summary.json"]) == summary
    assert first["summary.md"].decode().rstrip("\n") == explore.to_markdown(summary)


@pytest.mark.usefixtures("workspace")
def test_damaged_inputs() -> None:
    images, labels = make_split(30)
    files.write_arrays(splits.path("test"), images=images[:, :24, :24], labels=labels)
    with pytest.raises(PipelineError, match=r"test\.npz.*dvc repro"):
        explore.main([])
    files.write_arrays(splits.path("test"), images=images, labels=labels)
    classes.write(NAMES[:9])
    with pytest.raises(PipelineError, match=r"classes\.txt.*dvc repro"):
        explore.main([])
    assert not REPORTS.exists()


@pytest.mark.usefixtures("workspace")
def test_figures_show_the_training_images_that_the_seed_selects(drawn: dict[str, Figure]) -> None:
    set_params(seed=5)
    explore.main([])
    train = splits.read("train")
    indices = figures.sample_indices(60, 5, 10)
    assert len(set(indices)) == 10
    for axes, index in zip(drawn["samples.png"].axes, indices, strict=True):
        np.testing.assert_array_equal(image_data(axes), train.images[index])
        assert axes.get_title() == NAMES[train.labels[index].argmax()]
    for axes, name in zip(drawn["by_class.png"].axes, NAMES, strict=True):
        own = train.images[train.labels[:, NAMES.index(name)] == 1]
        strip = np.concatenate(own[figures.sample_indices(len(own), 5, 3)], axis=1)
        np.testing.assert_array_equal(image_data(axes), strip)
    assert len(drawn["classes.png"].axes[0].patches) == 3 * len(NAMES)


def image_data(axes: Axes) -> np.ndarray:
    (image,) = axes.images
    return np.asarray(image.get_array())


def test_fewer_images_than_panels(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    figures.draw_samples(make_split(4), NAMES, 1, tmp_path / "samples.png")
    axes = drawn["samples.png"].axes
    assert [len(panel.images) for panel in axes] == [1] * 4 + [0] * 6
    assert panels.shown(drawn["samples.png"]) == []  # no frames


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
    assert panels.shown(figure) == []  # no frames
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == columns
    strips = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}
    # In the order of the labels, column after column.
    boxes = [strips[name].get_position() for name in names]
    assert boxes == sorted(boxes, key=lambda box: (round(box.x0, 3), -box.y0))
    for label, name in enumerate(names):
        strip = image_data(strips[name])
        assert strip.shape == (side, side * (3 if label else 1), 3)
        for image in np.split(strip, strip.shape[1] // side, axis=1):
            assert labels[(images == image).all(axis=(1, 2, 3))].tolist() == [label]
        assert strips[name].get_xlim() == (-0.5, 3 * side - 0.5)  # one scale


@pytest.mark.parametrize(
    ("names", "vertical"),
    [
        (NAMES, True),
        (["$x_1$", "b" * 12], True),
        (["cat", "b" * 13], False),
        ([f"$x_{number}$" for number in range(11)], False),
    ],
)
def test_bars_of_the_images_per_class(
    tmp_path: Path, drawn: dict[str, Figure], names: list[str], vertical: bool
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
    assert list(panels.ticks(axes, "x" if vertical else "y")) == names
    category = axes.xaxis if vertical else axes.yaxis
    assert not any(label.get_parse_math() for label in category.get_ticklabels())
    assert vertical or axes.yaxis.get_inverted()  # the first class on top
    assert panels.legend(drawn["classes.png"]) == [f"{name} (1,000 images)" for name in counts]
    for container, own in zip(axes.containers, counts.values(), strict=True):
        bars = list(getattr(container, "patches", []))
        centers = [bar.get_center()[0 if vertical else 1] for bar in bars]
        assert [bar.get_height() if vertical else bar.get_width() for bar in bars] == own
        assert np.abs(np.subtract(centers, range(len(names)))).max() < 0.4
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}) == 3


def test_statistics_of_the_splits_and_in_total() -> None:
    parts = make_parts()
    summary = explore.summarize(parts, NAMES)
    assert {name: own["images"] for name, own in summary["splits"].items()} == SIZES
    assert summary["total"]["images"] == 110
    everything = Split(*map(np.concatenate, zip(*parts.values(), strict=True)))
    for statistics, (images, labels) in [
        *zip(summary["splits"].values(), parts.values(), strict=True),
        (summary["total"], everything),
    ]:
        assert (statistics["minimum"], statistics["maximum"]) == (images.min(), images.max())
        assert list(statistics["images_per_class"]) == NAMES
        assert list(statistics["images_per_class"].values()) == labels.sum(axis=0).tolist()
        for index, channel in enumerate(("red", "green", "blue")):
            values = images[..., index].astype(np.float64)
            own = statistics["channels"][channel]
            assert own["mean"] == pytest.approx(values.mean(), abs=1e-6)
            assert own["standard_deviation"] == pytest.approx(values.std(), abs=1e-6)
    first = summary["splits"]["train"]
    assert (first["image_shape"], first["label_shape"]) == ([32, 32, 3], [10])
    assert (first["image_dtype"], first["label_dtype"]) == ("float32", "float32")


def test_pixels_and_range_are_exact() -> None:
    levels = np.resize(np.arange(3, 251, dtype=np.uint8), (1, 16, 16, 3))
    levels[..., 0] = 100  # the range is that of all channels
    split = Split(levels / np.float32(255), np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(explore.to_uint8(split.images), levels)
    statistics = explore.summarize({"train": split}, ["cat"])["total"]
    assert statistics["minimum"] == split.images.min()
    assert statistics["maximum"] == split.images.max()


def test_duplicates_within_and_across_splits() -> None:
    parts = make_parts()
    train, validation, test = (parts[name].images for name in splits.NAMES)
    train[7] = train[8]
    train[7, 31, 31, 2] = (np.rint(train[8, 31, 31, 2] * 255) + 1) % 256 / np.float32(255)
    assert explore.summarize(parts, NAMES)["duplicates"]["total"] == 0
    train[5] = train[9] = train[2]
    test[:3] = train[:3]  # one of them the image that train has three times
    validation[0] = test[20]
    assert explore.summarize(parts, NAMES)["duplicates"] == {
        "within": {"train": 2, "validation": 0, "test": 0},
        "across": {"train and validation": 0, "train and test": 3, "validation and test": 1},
        "total": 6,
    }


def test_table_agrees_with_the_summary() -> None:
    parts = make_parts()
    parts["test"].images[1] = parts["test"].images[0]
    truck = parts["train"].labels[:, 9].argmax()
    parts["train"] = Split(*(np.delete(array, truck, axis=0) for array in parts["train"]))
    names = ["images", "a|b", *NAMES[2:]]  # a class of any name has its row
    summary = explore.summarize(parts, names)
    summary["total"]["images"] = 60_000
    summary["total"]["minimum"] = 0.25
    text = explore.to_markdown(summary)
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == ["", "train", "validation", "test", "total"]
    assert rows[2:-3] == [
        ["images", "59", "20", "30", "60,000"],
        ["minimum", "0", "0", "0", "0.25"],
        ["maximum", "1", "1", "1", "1"],
        ["missing values", "0", "0", "0", "0"],
        ["exact copies of an earlier image", "0", "0", "1", "1"],
        *([name.replace("|", r"\|"), "6", "2", "3", "11"] for name in names[:9]),
        ["truck", "5", "2", "3", "10"],
        ["largest class : smallest", "1.2 : 1", "1.0 : 1", "1.0 : 1", "1.1 : 1"],
    ]
    blue = summary["total"]["channels"]["blue"]
    assert rows[-1][0] == "blue, mean ± standard deviation"
    assert rows[-1][-1] == f"{blue['mean']:.6f} ± {blue['standard_deviation']:.6f}"
    assert "Images 32 x 32 x 3 (float32), labels 10 one-hot values (float32)." in text
    assert text.endswith("train and validation 0, train and test 0, validation and test 0.")
