"""Stage explore: figures with the right content, exact numbers, and every duplicate found."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import panels
import pytest
import synthetic
from made_up import NAMES

from pipeline import preprocess
from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.data.splits import Split
from pipeline.explore import stage as explore
from pipeline.explore import summary
from pipeline.report.figures import Figure

REPORTS = Path("reports/data")
OUTPUTS = ("classes.png", "samples.png", "summary.json", "summary.md")


def make_split(count: int, seed: int) -> Split:
    return preprocess.convert(*synthetic.make_images(count, seed=seed), np.arange(count))


def make_parts() -> dict[str, Split]:
    return {name: make_split(count, count) for name, count in SIZES.items()}


SIZES = {"train": 60, "validation": 20, "test": 30}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three small splits and params.yaml, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("explore: {seed: 1}\n")
    for name, split in make_parts().items():
        files.write_arrays(splits.path(name), **split._asdict())
    return tmp_path


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
    Path("params.yaml").write_text("explore: {seed: 2}\n")
    explore.main([])
    assert [name for name, content in outputs().items() if content != first[name]] == [
        "samples.png"
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
    explore.draw_samples(split, 1, tmp_path / "samples.png")
    figure = drawn["samples.png"]
    assert figure.get_suptitle() == "Images with Class Labels"
    assert len(figure.axes) == 10
    tops = {round(axes.get_position().y1, 3) for axes in figure.axes}
    assert len(tops) == 2  # rows
    for axes, index in zip(figure.axes, explore.pick(60, 1), strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(np.asarray(image.get_array()), split.images[index])
        assert axes.get_title() == NAMES[split.labels[index].argmax()]
    assert len({axes.get_title() for axes in figure.axes}) > 3
    assert panels.shown(figure) == []  # no frames


def test_pick_draws_distinct_images_by_seed() -> None:
    assert len(set(explore.pick(10, 1))) == 10
    assert explore.pick(1000, 1).tolist() == explore.pick(1000, 1).tolist()
    assert explore.pick(1000, 1).tolist() != explore.pick(1000, 2).tolist()


def test_class_figure_has_a_bar_for_every_class_and_split(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    counts = {"train": range(500, 510), "validation": range(100, 110), "test": range(10)}
    facts = {
        name: {"images": sum(own), "images_per_class": dict(zip(NAMES, own, strict=True))}
        for name, own in counts.items()
    }
    explore.draw_classes(facts, tmp_path / "classes.png")
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


@pytest.mark.usefixtures("workspace")
def test_figures_are_of_the_splits_and_the_seed_of_params(drawn: dict[str, Figure]) -> None:
    Path("params.yaml").write_text("explore: {seed: 5}\n")
    explore.main([])
    train = splits.read("train")
    first = explore.pick(60, 5)[0]
    (image,) = drawn["samples.png"].axes[0].images
    np.testing.assert_array_equal(np.asarray(image.get_array()), train.images[first])
    assert panels.legend(drawn["classes.png"]) == [
        *("train (60 images)", "validation (20 images)", "test (30 images)"),
    ]


def test_facts_of_a_split() -> None:
    facts = summary.summarize({"train": make_split(60, 1)})["splits"]["train"]
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
    assert summary.describe(split, np.ones((3, 256), np.int64))["missing_values"] == 3


def test_total_covers_all_splits() -> None:
    parts = make_parts()
    total = summary.summarize(parts)["total"]
    assert total["images"] == 110
    assert total["images_per_class"] == dict.fromkeys(NAMES, 11)
    pixels = np.concatenate([split.images.reshape(-1, 3) for split in parts.values()])
    for index, channel in enumerate(("red", "green", "blue")):
        mean = pixels[:, index].mean(dtype=np.float64)
        assert total["channels"][channel]["mean"] == pytest.approx(mean, abs=1e-6)


def test_total_reaches_from_the_least_to_the_greatest_of_any_split() -> None:
    facts = list(summary.summarize(make_parts())["splits"].values())
    for fact, low, high, missing in zip(
        facts, (0.25, 0.125, 0.5), (0.75, 0.875, 0.625), (1, 0, 2), strict=True
    ):
        fact |= {"minimum": low, "maximum": high, "missing_values": missing}
    total = summary.add_up(facts, np.ones((3, 256), np.int64))
    assert (total["minimum"], total["maximum"], total["missing_values"]) == (0.125, 0.875, 3)


def test_duplicates_are_counted_within_and_across_splits() -> None:
    parts = make_parts()
    assert summary.summarize(parts)["duplicates"]["total"] == 0
    train, validation, test = (parts[name].images for name in splits.NAMES)
    train[5] = train[9] = train[2]
    test[:3] = train[:3]  # one of them the image that train holds three times
    validation[0] = test[20]
    found = summary.summarize(parts)["duplicates"]
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
    assert summary.summarize({"train": split})["duplicates"]["total"] == 0


def test_levels_are_exact_for_all_256_and_refuse_anything_between() -> None:
    every = np.resize(np.arange(256, dtype=np.uint8), (1, 32, 32, 3))
    images = preprocess.convert(every, np.zeros(1, np.uint8), np.arange(1)).images
    np.testing.assert_array_equal(summary.levels(images), every)
    images[0, 4, 4, 1] += np.float32(1e-4)
    with pytest.raises(PipelineError, match="expected images of 255ths"):
        summary.levels(images)


def test_table_for_people_agrees_with_the_summary() -> None:
    parts = make_parts()
    parts["test"].images[1] = parts["test"].images[0]
    truck = parts["train"].labels[:, 9].argmax()
    parts["train"] = Split(*(np.delete(array, truck, axis=0) for array in parts["train"]))
    found = summary.summarize(parts)
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
        **{name: ["6", "2", "3", "11"] for name in NAMES[:9]},
        "truck": ["5", "2", "3", "10"],
    }
    assert list(cells)[5:] == NAMES
    facts = [*found["splits"].values(), found["total"]]
    for channel, row in zip(("red", "green", "blue"), channels, strict=True):
        numbers = [fact["channels"][channel] for fact in facts]
        assert row == [f"{n['mean']:.6f} ± {n['standard_deviation']:.6f}" for n in numbers]


def test_large_numbers_are_grouped_in_the_table_for_people() -> None:
    found = summary.summarize(make_parts())
    found["total"]["images"] = 60_000
    found["total"]["images_per_class"]["cat"] = 6_000
    text = explore.to_markdown(found)
    assert " 60,000 |" in text
    assert " 6,000 |" in text


@pytest.mark.usefixtures("workspace")
def test_summary_json_is_plain_json_of_the_same_numbers() -> None:
    explore.main([])
    expected = summary.summarize({name: splits.read(name) for name in splits.NAMES})
    assert json.loads((REPORTS / "summary.json").read_text()) == expected
