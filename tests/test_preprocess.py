"""Stage preprocess: arrays of CIFAR-10 and of folders of images, and the checks that read them."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import yaml
from PIL import Image

from pipeline.core import files, paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.splits import Split, read_class_names, read_split
from pipeline.datasets import cifar10, image_loading, preprocess
from pipeline.datasets.npz import write_npz

RAW, PHOTOS, PROCESSED = Path("data/raw"), Path("my photos"), Path("data/processed")
CIFAR10 = {
    "kind": "cifar10",
    "folder": str(RAW),
    "train_images": 400,
    "validation_images": 50,
    "seed": 1,
}
FOLDER = {
    "kind": "photos",
    "folder": str(PHOTOS),
    "side": 16,
    "crop_mode": "centre",
    "validation_share": 0.2,
    "test_share": 0.2,
    "seed": 1,
    "duplicates": "keep",
}
# Of 500 training and 100 test images by the first release.
SHA256 = {
    "train": "eff5cb5d878eca99935acc5e8a541a439ba15e000a4b723a3652dcfd98911253",
    "validation": "0e8984ba6b731d55c75584373b7a85cabf260fb6057eed1ea13ed72ccd231a6f",
    "test": "f3b84d26410c656bc540db4a210ee0b11f9c62dd1f8295c67c5b487acf30a19e",
}
Colour = tuple[int, int, int]


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(dataset: dict[str, Any], **changes: object) -> dict[str, Split]:
    """The splits that the stage writes."""
    content = yaml.safe_dump({"dataset": dataset | changes})
    Path("params.yaml").write_text(content, encoding="utf-8")
    preprocess.main([])
    return {name: read_split(name) for name in splits.NAMES}


def refusal(dataset: dict[str, Any], **changes: object) -> list[str]:
    """The lines of the error, at which nothing is written."""
    with pytest.raises(PipelineError) as caught:
        run(dataset, **changes)
    assert not PROCESSED.exists()
    return str(caught.value).splitlines()


def digests() -> dict[str, str]:
    return {name: hashlib.sha256(paths.split(name).read_bytes()).hexdigest() for name in SHA256}


def colour(number: int) -> Colour:
    return (number % 256, number // 256, 77)


def save(path: Path, shown: Colour, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), shown).save(path, kind)


def class_folders() -> None:
    for number in range(80):
        save(PHOTOS / ("cat" if number < 40 else "dog") / f"{number}.png", colour(number))


def split_folders(names: tuple[str, ...] = ("cat", "dog")) -> None:
    number = 0
    for split in splits.NAMES:
        for name in names:
            for _ in range(2):
                save(PHOTOS / split / name / f"{number}.png", colour(number))
                number += 1


def split_of_colour(found: dict[str, Split]) -> dict[Colour, str]:
    rows: list[tuple[Colour, str]] = []
    for name, split in found.items():
        levels = np.rint(split.images[:, 0, 0] * 255).astype(int).tolist()
        rows += [((red, green, blue), name) for red, green, blue in levels]
    assert len(dict(rows)) == len(rows), "an image in two splits"
    return dict(rows)


def test_cifar10_has_the_bytes_of_the_first_release_twice() -> None:
    synthetic.write_batches(RAW)
    for _ in range(2):
        run(CIFAR10)
        assert digests() == SHA256
    assert read_class_names() == cifar10.CLASSES
    RAW.rename("elsewhere")
    run(CIFAR10, folder="elsewhere", seed=2)
    same = {name: digest == SHA256[name] for name, digest in digests().items()}
    assert same == {"train": False, "validation": False, "test": True}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"side": 15}, "dataset.side"),
        ({"side": 257}, "dataset.side"),
        ({"crop_mode": "center"}, "dataset.crop_mode"),
        ({"validation_share": 0}, "dataset.validation_share"),
        ({"test_share": 1}, "dataset.test_share"),
        ({"validation_share": 0.5, "test_share": 0.5}, "dataset"),
        ({"duplicates": True}, "dataset.duplicates"),
        ({"folder": ""}, "dataset.folder"),
    ],
)
def test_wrong_settings_of_a_folder_are_refused(changes: dict[str, object], key: str) -> None:
    (line,) = refusal(FOLDER, **changes)
    assert line.startswith(f"params.yaml: {key}: ")


def test_split_folders_give_splits_labels_and_names() -> None:
    split_folders(("zebra", "Ant", "äpfel"))
    found = run(FOLDER)
    assert (PROCESSED / "classes.txt").read_bytes() == "Ant\nzebra\näpfel\n".encode()
    for start, name in ((0, "train"), (6, "validation"), (12, "test")):
        assert found[name].labels.tolist() == np.repeat(np.eye(3), 2, axis=0).tolist()
        # Zebra is saved first and is the second class.
        numbers = [start + number for number in (2, 3, 0, 1, 4, 5)]
        expected = np.array([colour(number) for number in numbers], np.float32) / 255
        images = np.tile(expected[:, None, None], (1, 16, 16, 1))
        np.testing.assert_array_equal(found[name].images, images)


@pytest.mark.parametrize("crop_mode", ["centre", "whole"])
def test_pixels_are_those_that_predict_loads(crop_mode: Any) -> None:
    split_folders()
    levels = np.random.default_rng(1).integers(256, size=(31, 47, 3), dtype=np.uint8)
    for name in splits.NAMES:
        Image.fromarray(levels).save(PHOTOS / name / "cat/0.jpg")
    for split in run(FOLDER, crop_mode=crop_mode).values():
        path = PHOTOS / "train/cat/0.jpg"
        expected = image_loading.load_image(path, side=16, crop_mode=crop_mode)
        np.testing.assert_array_equal(split.images[0], expected)


def test_all_unreadable_images_are_named_at_once() -> None:
    split_folders()
    broken = ["train/dog/text.jpg", "validation/dog/empty.png", "test/dog/gone.png"]
    (PHOTOS / broken[0]).write_text("no photo")
    (PHOTOS / broken[1]).touch()
    (PHOTOS / broken[2]).symlink_to("nowhere")
    lines = refusal(FOLDER)
    assert [line.partition(":")[0] for line in lines] == [f"{PHOTOS}/{name}" for name in broken]
    shutil.rmtree(PHOTOS / "test/dog")  # the folders are checked before an image is read
    (line,) = refusal(FOLDER)
    assert "'dog'" in line


def test_an_added_removed_or_renamed_image_moves_no_other() -> None:
    class_folders()
    before = split_of_colour(run(FOLDER))
    assert set(before.values()) == set(splits.NAMES)
    save(PHOTOS / "cat/00 new.png", colour(1000))
    (PHOTOS / "cat/7.png").rename(PHOTOS / "cat/z.png")
    (PHOTOS / "dog/49.png").unlink()
    after = split_of_colour(run(FOLDER))
    del after[colour(1000)], before[colour(49)]
    assert after == before
    other_side = split_of_colour(run(FOLDER, side=24))
    assert {shown: other_side[shown] for shown in after} == after
    other_seed = split_of_colour(run(FOLDER, seed=2))
    assert {shown: other_seed[shown] for shown in after} != after


def test_duplicates_in_two_splits_are_kept_or_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    split_folders()
    (PHOTOS / "train/cat/1.json").touch()
    for name, kind in zip(splits.NAMES, ("PNG", "BMP", "TIFF"), strict=True):
        save(PHOTOS / name / "cat/same.png", colour(999), kind)
    kept = run(FOLDER)
    assert [len(split.images) for split in kept.values()] == [5, 5, 5]
    dropped = run(FOLDER, duplicates="drop")
    assert [len(split.images) for split in dropped.values()] == [4, 4, 5]
    assert split_of_colour(dropped)[colour(999)] == "test"
    output = capsys.readouterr().out
    assert "15 photos, 1 other files" in output
    assert "2 duplicates" in output
    shutil.rmtree(PROCESSED)
    for split in ("validation", "test"):
        shutil.rmtree(PHOTOS / split)
    lines = "\n".join(refusal(FOLDER, seed=0))  # few images do not fill all splits
    lacking = [("cat", "validation"), ("dog", "validation"), ("dog", "test")]
    assert re.findall(r"class '(\w+)': .* in (\w+)", lines) == lacking


def test_bytes_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders()
    found = []
    for threads in (1, 7):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        run(FOLDER)
        found.append(digests())
    assert found[0] == found[1]


@pytest.mark.parametrize("content", [None, b"", b"\xff\n"])
def test_class_names_that_cannot_be_read_are_an_error(content: bytes | None) -> None:
    if content is not None:
        files.write(paths.CLASS_NAMES, lambda temporary: temporary.write_bytes(content))
    with pytest.raises(PipelineError, match=r"classes\.txt: .*repro preprocess"):
        read_class_names()


@pytest.mark.parametrize("damage", ["missing", "lacking", "truncated", "flipped", "foreign"])
def test_splits_that_cannot_be_read_are_an_error(damage: str) -> None:
    images, labels = synthetic.arrays(20, seed=1)
    path = paths.split("train")
    write_npz(path, images=images, **({} if damage == "lacking" else {"labels": labels}))
    content = path.read_bytes()
    changed = {"truncated": content[:30_000], "foreign": b"text"}
    changed["flipped"] = content[:20_000] + bytes([content[20_000] ^ 1]) + content[20_001:]
    path.write_bytes(changed.get(damage, content))
    if damage == "missing":
        path.unlink()
    with pytest.raises(PipelineError, match=r"train\.npz: .*repro preprocess"):
        read_split("train")


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda i, y: (i[:, :31], y), "images: .*shape"),
        (lambda i, y: (i[0], y), "images: .*shape"),
        (lambda i, y: (i[:0], y[:0]), "images: .*shape"),
        (lambda i, y: (i, y[:19]), "labels: .*shape"),
        (lambda i, y: (i, y[:, :9]), "labels: .*shape"),
        (lambda i, y: (i.astype(np.float64), y), "images: .*dtype"),
        (lambda i, y: (i, y.astype(np.int64)), "labels: .*dtype"),
        (lambda i, y: (changed(i, (3, 1, 2, 0), np.nan), y), "images: .*1 NaN"),
        (lambda i, y: (i, changed(y, (3, 1), np.nan)), "labels: .*1 NaN"),
        (lambda i, y: (i * 255, y), "images: .*values"),
        (lambda i, y: (i - np.float32(0.5), y), "images: .*values"),
        (lambda i, y: (i, changed(y, (4,), 0)), "labels: .*one-hot.*row 4"),
        (lambda i, y: (i, changed(y, (4,), 1)), "labels: .*one-hot.*row 4"),
        (lambda i, y: (i, y * np.float32(0.5)), "labels: .*one-hot"),
    ],
)
def test_splits_that_are_not_as_documented_are_refused(
    spoil: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], field: str
) -> None:
    good = Split(*synthetic.arrays(20, seed=1))
    write_npz(paths.split("train"), **good._asdict())
    np.testing.assert_array_equal(read_split("train", like=good).images, good.images)
    images, labels = spoil(*good)
    write_npz(paths.split("train"), images=images, labels=labels)
    with pytest.raises(PipelineError, match=rf"train\.npz: {field}"):
        read_split("train", like=good)


def changed(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy
