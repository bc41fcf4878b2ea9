"""Stage explore: figures with the right content, exact numbers, and every duplicate found."""

import json
from pathlib import Path

import numpy as np
import pytest
import synthetic
from matplotlib.figure import Figure
from PIL import Image

from pipeline import data_summary, explore, files, preprocess, splits
from pipeline.cifar10 import CLASSES
from pipeline.errors import PipelineError
from pipeline.splits import Split

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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = make_split(60, 1)
    kept: list[Figure] = []
    monkeypatch.setattr("matplotlib.pyplot.close", kept.append)
    explore.draw_samples(split, 1, tmp_path / "samples.png")
    figure = kept[0]
    assert figure.get_suptitle() == "Images with Class Labels"
    assert len(figure.axes) == 10
    tops = {round(axes.get_position().y1, 3) for axes in figure.axes}
    assert len(tops) == 2  # rows
    for axes, index in zip(figure.axes, explore.pick(60, 1), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), split.images[index])
        assert axes.get_title() == CLASSES[split.labels[index].argmax()]
    with Image.open(tmp_path / "samples.png") as image:
        assert image.width > image.height


def test_pick_draws_distinct_images_by_seed() -> None:
    assert len(set(explore.pick(10, 1))) == 10
    assert explore.pick(1000, 1).tolist() == explore.pick(1000, 1).tolist()
    assert explore.pick(1000, 1).tolist() != explore.pick(1000, 2).tolist()


def test_class_figure_has_a_bar_for_every_class_and_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr("matplotlib.pyplot.close", kept.append)
    facts = data_summary.summarize(make_parts())["splits"]
    explore.draw_classes(facts, tmp_path / "classes.png")
    axes = kept[0].axes[0]
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [[6] * 10, [2] * 10, [3] * 10]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(CLASSES)
    # Without colour the splits still differ: no two share shade and hatching.
    looks = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers}
    assert len(looks) == 3


def test_facts_of_a_split() -> None:
    facts = data_summary.summarize({"train": make_split(60, 1)})["splits"]["train"]
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
        "images_per_class": dict.fromkeys(CLASSES, 6),
    }
    pixels = synthetic.make_images(60, seed=1)[0].reshape(-1, 3) / 255
    for index, channel in enumerate(("red", "green", "blue")):
        assert channels[channel]["mean"] == pytest.approx(pixels[:, index].mean(), abs=1e-6)
        deviation = channels[channel]["standard_deviation"]
        assert deviation == pytest.approx(pixels[:, index].std(), abs=1e-6)


def test_total_covers_all_splits() -> None:
    parts = make_parts()
    total = data_summary.summarize(parts)["total"]
    assert total["images"] == 110
    assert total["images_per_class"] == dict.fromkeys(CLASSES, 11)
    pixels = np.concatenate([split.images.reshape(-1, 3) for split in parts.values()])
    for index, channel in enumerate(("red", "green", "blue")):
        mean = pixels[:, index].mean(dtype=np.float64)
        assert total["channels"][channel]["mean"] == pytest.approx(mean, abs=1e-6)


def test_duplicates_are_counted_within_and_across_splits() -> None:
    parts = make_parts()
    assert data_summary.summarize(parts)["duplicates"]["total"] == 0
    train, validation, test = (parts[name].images for name in splits.NAMES)
    train[5] = train[9] = train[2]
    test[:3] = train[:3]  # one of them the image that train holds three times
    validation[0] = test[20]
    found = data_summary.summarize(parts)["duplicates"]
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
    assert data_summary.summarize({"train": split})["duplicates"]["total"] == 0


def test_levels_are_exact_for_all_256_and_refuse_anything_between() -> None:
    every = np.resize(np.arange(256, dtype=np.uint8), (1, 32, 32, 3))
    images = preprocess.convert(every, np.zeros(1, np.uint8), np.arange(1)).images
    np.testing.assert_array_equal(data_summary.levels(images), every)
    images[0, 4, 4, 1] += np.float32(1e-4)
    with pytest.raises(PipelineError, match="expected images of 255ths"):
        data_summary.levels(images)


def test_markdown_agrees_with_the_summary() -> None:
    parts = make_parts()
    parts["test"].images[1] = parts["test"].images[0]
    truck = parts["train"].labels[:, 9].argmax()
    parts["train"] = Split(*(np.delete(array, truck, axis=0) for array in parts["train"]))
    text = explore.to_markdown(data_summary.summarize(parts))
    assert "| | train | validation | test | total |" in text
    assert "| images | 59 | 20 | 30 | 109 |" in text
    assert "| missing values | 0 | 0 | 0 | 0 |" in text
    assert "| exact copies of an earlier image | 0 | 0 | 1 | 1 |" in text
    assert "| ship | 6 | 2 | 3 | 11 |" in text
    assert "| truck | 5 | 2 | 3 | 10 |" in text
    assert text.count("\n| red, mean") == 1
    assert "Images in two splits: train and validation 0, train and test 0" in text
    assert all(line.count("|") == 6 for line in text.splitlines() if line.startswith("|"))


@pytest.mark.usefixtures("workspace")
def test_summary_json_is_plain_json_of_the_same_numbers() -> None:
    explore.main([])
    expected = data_summary.summarize({name: splits.read(name) for name in splits.NAMES})
    assert json.loads((REPORTS / "summary.json").read_text()) == expected
