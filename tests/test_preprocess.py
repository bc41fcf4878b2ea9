"""Stage preprocess: arrays and splits of CIFAR-10 and of folders of images."""

import hashlib
import io
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

from pipeline.core import paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.splits import Split, read_class_names, read_split
from pipeline.datasets import cifar10, image_loading, preprocess
from pipeline.datasets.config import Cifar10Config, ImageFolderConfig
from pipeline.datasets.preprocess import DROPPED, TEST, TRAIN, VALIDATION, write_npz

RAW, PHOTOS, PROCESSED = Path("data/raw"), Path("my photos"), Path("data/processed")
CIFAR10: dict[str, Any] = {"kind": "cifar10", "folder": str(RAW), "seed": 1}
CIFAR10 |= {"train_images": 400, "validation_images": 50}
FOLDER: dict[str, Any] = {"kind": "photos", "folder": str(PHOTOS), "seed": 1, "side": 16}
FOLDER |= {"crop_mode": "centre", "duplicates": "keep", "validation_share": 0.2, "test_share": 0.2}
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


def save(path: Path, shown: Colour, kind: str = "BMP") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), shown).save(path, kind)


def class_folders(each: int = 40) -> None:
    for number in range(2 * each):
        save(PHOTOS / ("cat" if number < each else "dog") / f"{number}.png", colour(number))


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


def test_a_record_of_cifar10_is_a_label_and_three_planes_row_by_row() -> None:
    first, second = (
        bytearray([label, *1024 * [red], *1024 * [green], *1024 * [blue]])
        for label, red, green, blue in ((0, 1, 2, 3), (7, 10, 20, 30))
    )
    second[1 + 1024 + 32 * 3 + 5] = 99  # green, row 3, column 5
    images, labels = cifar10.decode(bytes(first + second))
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [0, 7]
    assert images[0, 31, 31].tolist() == [1, 2, 3]
    assert images[1, 3, 5].tolist() == [10, 99, 30]
    assert images[1, 5, 3].tolist() == [10, 20, 30]
    assert cifar10.encode(images, labels) == first + second


def test_stratified_split_is_even_disjoint_ascending_and_nested() -> None:
    labels = np.append(synthetic.make_images(500, seed=5)[1], np.zeros(70, np.uint8))  # uneven
    (few, validation), (many, again) = (
        preprocess.stratified_split(labels, Cifar10Config(**CIFAR10 | {"train_images": images}))
        for images in (100, 450)
    )
    np.testing.assert_array_equal(validation, again)
    assert np.bincount(labels[many]).tolist() == [45] * 10
    assert np.bincount(labels[validation]).tolist() == [5] * 10
    assert not set(many) & set(validation)
    assert set(few) < set(many)
    assert (np.diff(many) > 0).all()
    assert (np.diff(validation) > 0).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("side", 15), ("side", 257), ("crop_mode", "center"), ("duplicates", True)),
        *(("validation_share", 0), ("test_share", 1), ("test_share", 0.8), ("folder", "")),
    ],
)
def test_wrong_settings_of_a_folder_are_refused(key: str, value: object) -> None:
    (line,) = refusal(FOLDER, **{key: value})
    assert line.startswith(f"params.yaml: dataset{'' if value == 0.8 else f'.{key}'}: ")


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
    path = PHOTOS / "train/cat/0.jpg"
    Image.effect_noise((47, 31), 64).save(path)
    expected = image_loading.load_image(path, side=16, crop_mode=crop_mode)
    np.testing.assert_array_equal(run(FOLDER, crop_mode=crop_mode)["train"].images[0], expected)


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


def test_content_and_seed_decide_the_split_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(each=10)
    before = split_of_colour(run(FOLDER))
    numbers = {"validation": [1, 2, 14, 16], "test": [3, 7, 13, 19]}  # those of every machine
    expected = {colour(number): name for name, own in numbers.items() for number in own}
    assert {shown: name for shown, name in before.items() if name != "train"} == expected
    (PHOTOS / "cat/7.png").rename(PHOTOS / "cat/z.png")
    assert split_of_colour(run(FOLDER, side=24)) == before
    assert split_of_colour(run(FOLDER, seed=2)) != before
    written = []
    for threads in (1, 7):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        run(FOLDER)
        written.append(digests())
    assert written[0] == written[1]


def assigned(hashes: list[str], labels: list[int], *folders: str, **changes: Any) -> list[int]:
    """The splits of images, the last ones of which are in split folders."""
    config = ImageFolderConfig(**FOLDER | changes)
    all_folders = ["train"] * (len(hashes) - len(folders)) + list(folders)
    found = preprocess.assign_splits(all_folders, np.array(labels), np.array(hashes), config)
    return [int(split) for split in found]


@pytest.mark.parametrize("folders", [(), ("test",), ("validation",), ("validation", "test")])
def test_each_class_gives_its_share_to_the_splits_without_a_folder(
    folders: tuple[str, ...],
) -> None:
    """Of 8 images 0.2 and 0.1 are 2 and 1; of 3, at least one each."""
    test, validation = (
        TRAIN if name in folders else splits.NAMES.index(name) for name in ("test", "validation")
    )
    expected = {
        0: [test, test, *[TRAIN] * 5, validation],
        1: [test, TRAIN, validation],
        2: [splits.NAMES.index(name) for name in folders],
    }
    rows = [(label, split) for label, own in expected.items() for split in own]
    hashes, labels = [f"{row:02}" for row in range(len(rows))], [label % 2 for label, _ in rows]
    found = assigned(hashes, labels, *folders, validation_share=0.1)
    assert found == [split for _, split in rows]


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.3, 0.15), (0.24, 0.51)])
def test_an_added_or_removed_image_moves_at_most_one_into_or_out_of_a_split(
    validation: float, test: float
) -> None:
    shares: dict[str, Any] = {"validation_share": validation, "test_share": test}
    generator = np.random.default_rng(1)
    for count in range(4, 40):
        labels = [0] * count + [1] * 9
        hashes = [str(value) for value in generator.random(len(labels))]
        before = assigned(hashes, labels, **shares)
        for row in range(count):
            after = assigned(hashes[:row] + hashes[row + 1 :], labels[1:], **shares)
            kept = before[:row] + before[row + 1 :]
            moved = [{one, new} for one, new in zip(kept, after, strict=True) if one != new]
            assert all(sum(split in pair for pair in moved) <= 1 for split in (VALIDATION, TEST))
            assert kept[-9:] == after[-9:]


def test_copies_count_as_one_image_and_stay_together() -> None:
    labels = [0] * 20
    hashes = [*"abcdefghij", *"aaaaajjjjj"]
    expected = [TEST, TEST, *[TRAIN] * 6, VALIDATION, VALIDATION, *[TEST] * 5, *[VALIDATION] * 5]
    assert assigned(hashes, labels) == expected


def test_classes_of_too_few_images_are_named() -> None:
    class_folders(each=3)
    run(FOLDER)
    shutil.rmtree(PROCESSED)
    (PHOTOS / "cat/0.png").unlink()
    (line,) = refusal(FOLDER)
    assert re.search("class 'cat': .* in train", line)
    (PHOTOS / "cat/1.png").unlink()
    assert len(refusal(FOLDER)) == 2


def test_duplicates_in_two_splits_are_kept_or_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    split_folders()
    (PHOTOS / "train/cat/1.json").touch()
    for name, kind in zip(splits.NAMES, ("PNG", "BMP", "GIF"), strict=True):
        save(PHOTOS / name / "cat/same.png", colour(999), kind)
    counts = {
        choice: [len(split.images) for split in run(FOLDER, duplicates=choice).values()]
        for choice in ("keep", "drop")
    }
    assert counts == {"keep": [5, 5, 5], "drop": [4, 4, 5]}
    output = capsys.readouterr().out
    assert "15 photos; passed over 1 other files" in output
    assert "2 duplicates" in output


def test_duplicates_stay_in_the_last_split_alone() -> None:
    distinct = np.zeros((5, 8, 8, 3), np.uint8)
    distinct[:, 7, 7, 2] = range(5)  # one level apart
    rows = [
        *((0, TRAIN, DROPPED), (0, VALIDATION, DROPPED), (0, TEST, TEST)),
        *((1, TRAIN, DROPPED), (1, VALIDATION, VALIDATION), (1, VALIDATION, VALIDATION)),
        *((2, TRAIN, DROPPED), (2, TRAIN, DROPPED), (2, TEST, TEST), (2, TEST, TEST)),
        *((3, TRAIN, TRAIN), (3, TRAIN, TRAIN), (4, TRAIN, TRAIN)),
    ]
    images, before, after = (np.array(column) for column in zip(*rows, strict=True))
    assert preprocess.drop_duplicates(before, distinct[images]).tolist() == after.tolist()


def changed(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


Spoil = Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]
SPOILT: list[tuple[Spoil, str]] = [
    (lambda i, y: (i[:, :31], y), "shapes"),
    (lambda i, y: (i[:0], y[:0]), "shapes"),
    (lambda i, y: (i, y[:19]), "shapes"),
    (lambda i, y: (i, y[:, :9]), "shapes"),
    (lambda i, y: (i, y[0, 0]), "shapes"),
    (lambda i, y: (i.astype(np.float64), y), "dtypes"),
    (lambda i, y: (i, y.astype(np.int64)), "dtypes"),
    (lambda i, y: (changed(i, (3, 1, 2, 0), np.nan), y), "images from nan"),
    (lambda i, y: (i, changed(y, (3, 1), np.nan)), "one-hot"),
    (lambda i, y: (i * 255, y), "images from 0 to 255"),
    (lambda i, y: (i - np.float32(0.5), y), "images from -0.5"),
    (lambda i, y: (i, changed(y, (4,), 1)), "one-hot"),
    (lambda i, y: (i, y * np.float32(0.5)), "one-hot"),
    (lambda i, y: (np.ones(4), np.ones((4, 2))), "found"),
    (lambda i, y: (np.float32(1), np.float32(1)), "found"),
]


@pytest.mark.parametrize(("spoil", "problem"), SPOILT)
def test_splits_that_are_not_as_documented_are_refused(spoil: Spoil, problem: str) -> None:
    good = Split(*synthetic.arrays(20, seed=1))
    write_npz(paths.split("train"), **good._asdict())
    np.testing.assert_array_equal(read_split("train", like=good).images, good.images)
    images, labels = spoil(*good)
    write_npz(paths.split("train"), images=images, labels=labels)
    with pytest.raises(PipelineError, match=rf"train\.npz: .*{problem}"):
        read_split("train", like=good)


def npz_of_a_split() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **Split(*synthetic.arrays(20, seed=1))._asdict())
    return stream.getvalue()


NPZ = npz_of_a_split()
DAMAGED = [
    *((paths.CLASS_NAMES, content) for content in (None, b"", b"\xff\n")),
    *((paths.split("train"), content) for content in (None, b"text", NPZ[:30_000])),
    (paths.split("train"), NPZ[:20_000] + bytes([NPZ[20_000] ^ 1]) + NPZ[20_001:]),
    (paths.split("train"), NPZ.replace(b"labels", b"absent")),
]


@pytest.mark.parametrize(("path", "content"), DAMAGED)
def test_files_that_cannot_be_read_are_an_error(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=rf"{path}: .*repro preprocess"):
        read_class_names() if path == paths.CLASS_NAMES else read_split("train")
