"""Stage explore: figures with the right content, exact numbers, and every duplicate found."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import panels
import pytest
import synthetic
from made_up import NAMES

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.data.splits import Split
from pipeline.explore import figures, summary
from pipeline.explore import stage as explore
from pipeline.report.figures import Figure

REPORTS = Path("reports/data")
OUTPUTS = ("by_class.png", "classes.png", "samples.png", "summary.json", "summary.md")


def make_split(count: int, seed: int) -> Split:
    return Split(*synthetic.arrays(count, seed=seed))


def make_parts() -> dict[str, Split]:
    return {name: make_split(count, count) for name, count in SIZES.items()}


SIZES = {"train": 60, "validation": 20, "test": 30}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three small splits and params.yaml, as the current one."""
    monkeypatch.chdir(tmp_path)
    set_params(seed=1)
    classes.write(NAMES)
    for name, split in make_parts().items():
        files.write_arrays(splits.path(name), **split._asdict())
    return tmp_path


def set_params(seed: int, each: int = 2) -> None:
    Path("params.yaml").write_text(f"explore: {{seed: {seed}, images_per_class: {each}}}\n")


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(REPORTS.iterdir())}


@pytest.mark.usefixtures("workspace")
def test_main_writes_its_outputs_and_the_same_bytes_twice() -> None:
    explore.main([])
    first = outputs()
    assert tuple(first) == OUTPUTS
    explore.main([])
    assert outputs() == first


@pytest.mark.usefixtures("workspace")
def test_the_seed_changes_the_samples_and_nothing_else() -> None:
    explore.main([])
    first = outputs()
    set_params(seed=2)
    explore.main([])
    assert [name for name, content in outputs().items() if content != first[name]] == [
        "by_class.png",
        "samples.png",
    ]


@pytest.mark.usefixtures("workspace")
def test_main_writes_nothing_when_a_split_is_missing() -> None:
    splits.path("test").unlink()
    with pytest.raises(PipelineError, match=r"data/processed/test\.npz.*dvc repro"):
        explore.main([])
    assert not REPORTS.exists()


def test_sample_figure_shows_ten_titled_training_images(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    split = make_split(60, 1)
    figures.samples(split, NAMES, 1, tmp_path / "samples.png")
    figure = drawn["samples.png"]
    assert figure.get_suptitle() == "Images with Class Labels"
    assert len(figure.axes) == 10
    tops = {round(axes.get_position().y1, 3) for axes in figure.axes}
    assert len(tops) == 2  # rows
    for axes, index in zip(figure.axes, figures.pick(60, 1, 10), strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(np.asarray(image.get_array()), split.images[index])
        assert axes.get_title() == NAMES[split.labels[index].argmax()]
    assert len({axes.get_title() for axes in figure.axes}) > 3
    assert panels.shown(figure) == []  # no frames


def test_pick_draws_distinct_images_by_seed() -> None:
    assert len(set(figures.pick(10, 1, 10))) == 10
    assert figures.pick(1000, 1, 10).tolist() == figures.pick(1000, 1, 10).tolist()
    assert figures.pick(1000, 1, 10).tolist() != figures.pick(1000, 2, 10).tolist()
    assert sorted(figures.pick(4, 1, 10)) == [0, 1, 2, 3]  # all where there are fewer


def test_sample_figure_of_fewer_images_leaves_places_empty(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    figures.samples(make_split(4, 1), NAMES, 1, tmp_path / "samples.png")
    shown = [len(axes.images) for axes in drawn["samples.png"].axes]
    assert shown == [1] * 4 + [0] * 6


@pytest.mark.parametrize(
    ("count", "side", "columns"), [(2, 16, 1), (14, 32, 1), (15, 32, 2), (81, 20, 6)]
)
def test_strips_show_training_images_of_every_class(
    tmp_path: Path, drawn: dict[str, Figure], count: int, side: int, columns: int
) -> None:
    """Three of each, but one of the first class, which has no more."""
    names = [f"class {number}" for number in range(count)]
    labels = np.array([label for label in range(count) for _ in range(5 if label else 1)])
    generator = np.random.default_rng(1)
    images = generator.random((len(labels), side, side, 3), np.float32)
    split = Split(images, np.eye(count, dtype=np.float32)[labels])
    figures.by_class(split, names, 1, 3, tmp_path / "by_class.png")
    figure = drawn["by_class.png"]
    assert figure.get_suptitle() == "Training images by class"
    assert panels.shown(figure) == []  # no frames
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == columns
    panel = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}
    assert set(panel) == set(names)
    # Column after column they come as the labels do.
    places = [panel[name].get_position() for name in names]
    assert places == sorted(places, key=lambda box: (round(box.x0, 3), -box.y0))
    for label, name in enumerate(names):
        (image,) = panel[name].images
        strip = np.asarray(image.get_array())
        found = [
            index
            for part in np.split(strip, strip.shape[1] // side, axis=1)
            for index in range(len(images))
            if np.array_equal(images[index], part)
        ]
        assert len(set(found)) == (3 if label else 1)
        assert set(labels[found]) == {label}
        assert panel[name].get_xlim() == (-0.5, 3 * side - 0.5)  # alike in size however many
        assert not panel[name].title.get_parse_math()


def test_class_figure_has_a_bar_for_every_class_and_split(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    counts = {"train": range(500, 510), "validation": range(100, 110), "test": range(10)}
    facts = {
        name: {"images": sum(own), "images_per_class": dict(zip(NAMES, own, strict=True))}
        for name, own in counts.items()
    }
    figures.classes(facts, tmp_path / "classes.png")
    (axes,) = drawn["classes.png"].axes
    assert axes.get_title() == "Images per class and split"
    assert axes.get_ylabel() == "images"
    assert panels.ticks(axes, "x") == {name: place for place, name in enumerate(NAMES)}
    labels = ["train (5,045 images)", "validation (1,045 images)", "test (45 images)"]
    assert panels.legend(drawn["classes.png"]) == labels
    assert [container.get_label() for container in axes.containers] == labels
    ends = []
    for container, own in zip(axes.containers, counts.values(), strict=True):
        patches = list(getattr(container, "patches", []))
        assert [bar.get_height() for bar in patches] == list(own)
        # Each bar is at the name of its class; a fifth of its place is a gap.
        assert all(abs(bar.get_center()[0] - place) < 0.4 for place, bar in enumerate(patches))
        ends += [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in patches]
    ends.sort()
    assert all(end < start + 1e-9 for (_, end), (start, _) in pairwise(ends)), "bars overlap"
    # Without colour the splits still differ: by their grey, and one by a hatching that is seen.
    bars = [axes.patches[0], axes.patches[10], axes.patches[20]]
    greys: list[Any] = [bar.get_facecolor() for bar in bars]
    assert all(red == green == blue for red, green, blue, _ in greys)
    assert len(set(greys)) == 3
    (hatched,) = [bar for bar in bars if bar.get_hatch()]
    assert hatched.get_facecolor() != hatched.get_edgecolor()


LONG = ["cat", "a long name of a class"]


@pytest.mark.parametrize("names", [[f"class {number}" for number in range(81)], LONG])
def test_class_figure_of_many_or_long_names_has_them_beside_its_bars(
    tmp_path: Path, drawn: dict[str, Figure], names: list[str]
) -> None:
    each = range(1, len(names) + 1)
    facts = {
        name: {"images": sum(each), "images_per_class": dict(zip(names, each, strict=True))}
        for name in splits.NAMES
    }
    figures.classes(facts, tmp_path / "classes.png")
    figure = drawn["classes.png"]
    (axes,) = figure.axes
    assert axes.get_xlabel() == "images"
    assert panels.ticks(axes, "y") == {name: place for place, name in enumerate(names)}
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first class on top
    for container in axes.containers:
        bars = list(getattr(container, "patches", []))
        assert [bar.get_width() for bar in bars] == list(each)
        assert all(abs(bar.get_center()[1] - place) < 0.4 for place, bar in enumerate(bars))
    assert figure.get_figheight() / len(names) > 0.3  # inches, where a name's line needs 0.15


@pytest.mark.parametrize("count", [3, 30])
def test_names_in_the_class_figure_stand_as_they_are(
    tmp_path: Path, drawn: dict[str, Figure], count: int
) -> None:
    names = [f"$x_{number}$" for number in range(count)]
    facts = {
        name: {"images": count, "images_per_class": dict.fromkeys(names, 1)}
        for name in splits.NAMES
    }
    figures.classes(facts, tmp_path / "classes.png")
    (axes,) = drawn["classes.png"].axes
    side = "x" if count == 3 else "y"
    assert list(panels.ticks(axes, side)) == names
    axis = axes.xaxis if side == "x" else axes.yaxis
    assert not any(label.get_parse_math() for label in axis.get_ticklabels())


@pytest.mark.usefixtures("workspace")
def test_figures_are_of_the_splits_and_the_seed_of_params(drawn: dict[str, Figure]) -> None:
    set_params(seed=5, each=3)
    explore.main([])
    train = splits.read("train")
    first = figures.pick(60, 5, 10)[0]
    (image,) = drawn["samples.png"].axes[0].images
    np.testing.assert_array_equal(np.asarray(image.get_array()), train.images[first])
    for axes, name in zip(drawn["by_class.png"].axes, NAMES, strict=True):
        (image,) = axes.images
        own = train.images[train.labels[:, NAMES.index(name)] == 1]
        expected = np.concatenate(own[figures.pick(len(own), 5, 3)], axis=1)
        np.testing.assert_array_equal(np.asarray(image.get_array()), expected)
    assert panels.legend(drawn["classes.png"]) == [
        *("train (60 images)", "validation (20 images)", "test (30 images)"),
    ]


def test_facts_of_a_split() -> None:
    facts = summary.summarize({"train": make_split(60, 1)}, NAMES)["splits"]["train"]
    channels = facts.pop("channels")
    assert facts == {
        "images": 60,
        "image_shape": [32, 32, 3],
        "image_dtype": "float32",
        "label_shape": [10],
        "label_dtype": "float32",
        "minimum": 0.0,
        "maximum": 1.0,
        "missing_values": 0,
        "images_per_class": dict.fromkeys(NAMES, 6),
    }
    assert list(facts["images_per_class"]) == NAMES
    pixels = synthetic.make_images(60, seed=1)[0].reshape(-1, 3) / 255
    for index, channel in enumerate(("red", "green", "blue")):
        assert channels[channel]["mean"] == pytest.approx(pixels[:, index].mean(), abs=1e-6)
        deviation = channels[channel]["standard_deviation"]
        assert deviation == pytest.approx(pixels[:, index].std(), abs=1e-6)


def test_missing_values_are_counted_in_images_and_labels() -> None:
    split = make_split(20, 1)
    split.images[3, 4, 5, :2] = np.nan
    split.labels[7, 0] = np.nan
    assert summary.describe(split, np.ones((3, 256), np.int64), NAMES)["missing_values"] == 3


def test_total_covers_all_splits() -> None:
    parts = make_parts()
    total = summary.summarize(parts, NAMES)["total"]
    assert total["images"] == 110
    assert total["images_per_class"] == dict.fromkeys(NAMES, 11)
    pixels = np.concatenate([split.images.reshape(-1, 3) for split in parts.values()])
    for index, channel in enumerate(("red", "green", "blue")):
        mean = pixels[:, index].mean(dtype=np.float64)
        assert total["channels"][channel]["mean"] == pytest.approx(mean, abs=1e-6)


def test_total_reaches_from_the_least_to_the_greatest_of_any_split() -> None:
    facts = list(summary.summarize(make_parts(), NAMES)["splits"].values())
    for fact, low, high, missing in zip(
        facts, (0.25, 0.125, 0.5), (0.75, 0.875, 0.625), (1, 0, 2), strict=True
    ):
        fact |= {"minimum": low, "maximum": high, "missing_values": missing}
    total = summary.add_up(facts, np.ones((3, 256), np.int64))
    assert (total["minimum"], total["maximum"], total["missing_values"]) == (0.125, 0.875, 3)


def test_duplicates_are_counted_within_and_across_splits() -> None:
    parts = make_parts()
    assert summary.summarize(parts, NAMES)["duplicates"]["total"] == 0
    train, validation, test = (parts[name].images for name in splits.NAMES)
    train[5] = train[9] = train[2]
    test[:3] = train[:3]  # one of them the image that train holds three times
    validation[0] = test[20]
    found = summary.summarize(parts, NAMES)["duplicates"]
    assert found == {
        "within": {"train": 2, "validation": 0, "test": 0},
        "across": {
            "train and validation": 0,
            "train and test": 3,
            "validation and test": 1,
        },
        "total": 6,
    }


def test_images_that_differ_in_one_level_of_one_pixel_are_no_duplicates() -> None:
    split = make_split(10, 1)
    level = split.images[0].copy() * 255
    level[31, 31, 2] = (level[31, 31, 2] + 1) % 256
    split.images[1] = np.rint(level) / np.float32(255)
    assert summary.summarize({"train": split}, NAMES)["duplicates"]["total"] == 0


def test_levels_are_exact_for_all_256_and_refuse_anything_between() -> None:
    every = np.resize(np.arange(256, dtype=np.uint8), (1, 32, 32, 3))
    images = every / np.float32(255)
    np.testing.assert_array_equal(summary.levels(images), every)
    images[0, 4, 4, 1] += np.float32(1e-4)
    with pytest.raises(PipelineError, match="expected images of 255ths"):
        summary.levels(images)


def test_table_for_people_agrees_with_the_summary() -> None:
    parts = make_parts()
    parts["test"].images[1] = parts["test"].images[0]
    truck = parts["train"].labels[:, 9].argmax()
    parts["train"] = Split(*(np.delete(array, truck, axis=0) for array in parts["train"]))
    found = summary.summarize(parts, NAMES)
    text = explore.to_markdown(found)
    assert text.startswith(
        "# The data\n\nImages 32 x 32 x 3 (float32), labels 10 one-hot values (float32).\n\n|"
    )
    assert text.endswith(
        "\nImages in two splits: train and validation 0, train and test 0, validation and test 0."
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, align, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert head == ["", "train", "validation", "test", "total"]
    assert [cell.strip("-") for cell in align] == [":", ":", ":", ":", ":"]
    assert [cell[-1] for cell in align] == ["-", ":", ":", ":", ":"]  # numbers to the right
    cells = {name: values for name, *values in rows}
    channels = [
        cells.pop(f"{name}, mean ± standard deviation") for name in ("red", "green", "blue")
    ]
    assert cells == {
        "images": ["59", "20", "30", "109"],
        "minimum": ["0"] * 4,
        "maximum": ["1"] * 4,
        "missing values": ["0"] * 4,
        "exact copies of an earlier image": ["0", "0", "1", "1"],
        "largest class : smallest": ["1.2 : 1", "1.0 : 1", "1.0 : 1", "1.1 : 1"],
        **{name: ["6", "2", "3", "11"] for name in NAMES[:9]},
        "truck": ["5", "2", "3", "10"],
    }
    assert list(cells)[5:15] == NAMES
    facts = [*found["splits"].values(), found["total"]]
    for channel, row in zip(("red", "green", "blue"), channels, strict=True):
        numbers = [fact["channels"][channel] for fact in facts]
        assert row == [f"{n['mean']:.6f} ± {n['standard_deviation']:.6f}" for n in numbers]


def test_large_numbers_are_grouped_in_the_table_for_people() -> None:
    found = summary.summarize(make_parts(), NAMES)
    found["total"]["images"] = 60_000
    found["total"]["images_per_class"]["cat"] = 6_000
    text = explore.to_markdown(found)
    assert " 60,000 |" in text
    assert " 6,000 |" in text


def test_table_has_a_row_for_a_class_of_any_name() -> None:
    names = ["images", "class images", "a|b", "minimum", *NAMES[4:]]
    parts = {name: make_split(10 * count, 1) for count, name in enumerate(splits.NAMES, 1)}
    text = explore.to_markdown(summary.summarize(parts, names))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert {len(row) for row in rows} == {5}
    counted = [row[0] for row in rows if row[1:] == ["1", "2", "3", "6"]]
    assert counted == ["class images", "class images", r"a\|b", "class minimum", *NAMES[4:]]


def test_as_many_names_as_classes_are_expected() -> None:
    with pytest.raises(PipelineError, match=r"expected 10 names of classes, .*found 9; .*repro"):
        summary.summarize(make_parts(), NAMES[:9])


@pytest.mark.usefixtures("workspace")
def test_a_split_of_another_side_is_refused() -> None:
    images, labels = make_split(30, 1)
    files.write_arrays(splits.path("test"), images=images[:, :24, :24], labels=labels)
    with pytest.raises(PipelineError, match=r"test\.npz: images: expected shape \(30, 32, 32, 3\)"):
        explore.main([])
    assert not REPORTS.exists()


@pytest.mark.usefixtures("workspace")
def test_summary_json_is_plain_json_of_the_same_numbers() -> None:
    explore.main([])
    expected = summary.summarize({name: splits.read(name) for name in splits.NAMES}, NAMES)
    assert json.loads((REPORTS / "summary.json").read_text()) == expected
