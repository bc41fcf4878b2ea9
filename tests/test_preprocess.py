"""Stage preprocess: arrays of CIFAR-10 and of folders of images, and the checks that read them."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import yaml
from PIL import Image

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.data.splits import Split
from pipeline.datasets import cifar10, image_loading, preprocess, splitting
from pipeline.datasets.config import Cifar10Config

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
    "framing": "centre",
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
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)


def run(dataset: dict[str, Any], **changes: object) -> dict[str, Split]:
    """The splits that the stage writes."""
    content = yaml.safe_dump({"dataset": dataset | changes})
    Path("params.yaml").write_text(content, encoding="utf-8")
    preprocess.main([])
    return {name: splits.read(name) for name in splits.NAMES}


def refusal(dataset: dict[str, Any], **changes: object) -> list[str]:
    """The lines of the error, at which nothing is written."""
    with pytest.raises(PipelineError) as caught:
        run(dataset, **changes)
    assert not PROCESSED.exists()
    return str(caught.value).splitlines()


def digests() -> dict[str, str]:
    return {name: hashlib.sha256(splits.path(name).read_bytes()).hexdigest() for name in SHA256}


def colour(number: int) -> Colour:
    return (number % 256, number // 256, 77)


def save(path: Path, shown: Colour, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), shown).save(path, kind)


def class_folders(each: int = 40) -> None:
    for label, name in enumerate(("cat", "dog")):
        for number in range(label * each, label * each + each):
            save(PHOTOS / name / f"{number}.png", colour(number))


def split_folders(names: tuple[str, ...] = ("cat", "dog"), each: int = 2) -> None:
    number = 0
    for split in splits.NAMES:
        for name in names:
            for _ in range(each):
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
    assert classes.read() == cifar10.CLASSES
    RAW.rename("elsewhere")
    run(CIFAR10, folder="elsewhere", seed=2)
    same = {name: digest == SHA256[name] for name, digest in digests().items()}
    assert same == {"train": False, "validation": False, "test": True}


def test_cifar10_values_are_levels_over_255_in_file_order() -> None:
    synthetic.write_batches(RAW)
    found = run(CIFAR10)
    train, test = (
        cifar10.decode(b"".join((RAW / name).read_bytes() for name in names), "raw")
        for names in (cifar10.TRAIN_FILES, cifar10.TEST_FILES)
    )
    indices = splitting.stratified_split(train[1], Cifar10Config.model_validate(CIFAR10))
    for name, (images, labels), chosen in (
        ("train", train, indices[0]),
        ("validation", train, indices[1]),
        ("test", test, np.arange(100)),
    ):
        expected = images[chosen].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(found[name].images, expected)
        np.testing.assert_array_equal(found[name].labels, np.eye(10)[labels[chosen]])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: path.unlink(), "data_batch_3.bin"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "data/raw: expected a whole"),
        (lambda path: path.write_bytes(b"\xff" * 3073), "expected labels 0 to 9, found 255"),
    ],
)
def test_damaged_batches_are_refused(damage: Callable[[Path], object], named: str) -> None:
    synthetic.write_batches(RAW)
    damage(RAW / "data_batch_3.bin")
    (line,) = refusal(CIFAR10)
    assert named in line
    assert "dvc repro fetch" in line


@pytest.mark.parametrize(
    ("dataset", "changes", "key"),
    [
        *(
            (CIFAR10, {name: value}, f"dataset.{name}")
            for name in ("train_images", "validation_images")
            for value in (0, 15, "50", 50.0, None)
        ),
        (CIFAR10, {"train_images": 50_000}, "dataset"),
        (FOLDER, {"side": 15}, "dataset.side"),
        (FOLDER, {"side": 257}, "dataset.side"),
        (FOLDER, {"side": 32.0}, "dataset.side"),
        (FOLDER, {"framing": "center"}, "dataset.framing"),
        (FOLDER, {"validation_share": 0}, "dataset.validation_share"),
        (FOLDER, {"test_share": 1}, "dataset.test_share"),
        (FOLDER, {"validation_share": 0.5, "test_share": 0.5}, "dataset"),
        (FOLDER, {"duplicates": True}, "dataset.duplicates"),
        (FOLDER, {"folder": ""}, "dataset.folder"),
        (FOLDER, {"seed": "x"}, "dataset.seed"),
        (FOLDER, {"train_images": 10}, "dataset.train_images"),
    ],
)
def test_wrong_settings_are_refused(
    dataset: dict[str, Any], changes: dict[str, object], key: str
) -> None:
    (line,) = refusal(dataset, **changes)
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


@pytest.mark.parametrize("framing", ["centre", "whole"])
def test_pixels_are_those_that_predict_loads(framing: Any) -> None:
    split_folders()
    levels = np.random.default_rng(1).integers(256, size=(31, 47, 3), dtype=np.uint8)
    for name in splits.NAMES:
        Image.fromarray(levels).save(PHOTOS / name / "cat/0.jpg")
    for split in run(FOLDER, framing=framing).values():
        path = PHOTOS / "train/cat/0.jpg"
        expected = image_loading.load_image(path, side=16, crop_mode=framing)
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


@pytest.mark.parametrize("missing", ["validation", "test"])
def test_a_missing_split_is_taken_from_train(missing: str) -> None:
    split_folders(each=20)
    shutil.rmtree(PHOTOS / missing)
    found = split_of_colour(run(FOLDER))
    (other,) = {"validation", "test"} - {missing}
    start = 40 * splits.NAMES.index(other)
    kept = {colour(number) for number in range(start, start + 40)}
    assert {shown for shown, split in found.items() if split == other} == kept
    assert 2 <= list(found.values()).count(missing) <= 16
    assert len(found) == 80


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
    assert "15 photos, 1 passed over: 1 .json" in output
    assert "2 duplicates" in output
    shutil.rmtree(PROCESSED)
    for split in ("validation", "test"):
        shutil.rmtree(PHOTOS / split)
    lines = refusal(FOLDER)  # three images of a class cannot fill all splits
    assert any("class 'dog'" in line for line in lines)


def test_bytes_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders()
    found = []
    for threads in (1, 7):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        run(FOLDER)
        found.append(digests())
    assert found[0] == found[1]


@pytest.mark.parametrize("side", [16, 256])
def test_images_are_normalized_in_chunks(side: int) -> None:
    levels = np.random.default_rng(1).integers(256, size=(9, side, side, 3), dtype=np.uint8)
    normalized = preprocess.normalize(levels)
    chunks = list(normalized.blocks)
    assert normalized.shape == levels.shape
    np.testing.assert_array_equal(np.concatenate(chunks), levels / np.float32(255))
    assert max(chunk.size for chunk in chunks) <= 800_000  # floats, 3 MB


@pytest.mark.parametrize("content", [None, b"", b"\xff\n"])
def test_class_names_that_cannot_be_read_are_an_error(content: bytes | None) -> None:
    if content is not None:
        files.write(classes.PATH, lambda temporary: temporary.write_bytes(content))
    with pytest.raises(PipelineError, match=r"classes\.txt: .*repro preprocess"):
        classes.read()


def good() -> Split:
    return Split(*synthetic.arrays(20, seed=1))


def changed(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda i, y: (i[:, :31], y), "images: expected shape"),
        (lambda i, y: (i[0], y), "images: expected shape"),
        (lambda i, y: (i[:0], y[:0]), "images: .*at least one"),
        (lambda i, y: (i, y[:19]), "labels: expected shape"),
        (lambda i, y: (i, y[:, :9]), "labels: expected shape"),
        (lambda i, y: (i, y.argmax(1).astype(np.float32)), "labels: expected shape"),
        (lambda i, y: (i.astype(np.float64), y), "images: expected dtype"),
        (lambda i, y: (i, y.astype(np.int64)), "labels: expected dtype"),
        (lambda i, y: (changed(i, (3, 1, 2, 0), np.nan), y), "images: .*missing.*1 NaN"),
        (lambda i, y: (i, changed(y, (3, 1), np.nan)), "labels: .*missing.*1 NaN"),
        (lambda i, y: (i * 255, y), "images: expected values"),
        (lambda i, y: (i - np.float32(0.5), y), "images: expected values"),
        (lambda i, y: (i, changed(y, (4,), 0)), "labels: expected a single 1.*row 4"),
        (lambda i, y: (i, changed(y, (4,), 1)), "labels: expected a single 1.*row 4"),
        (lambda i, y: (i, y * np.float32(0.5)), "labels: expected a single 1"),
    ],
)
def test_splits_that_are_not_as_documented_are_refused(
    spoil: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], field: str
) -> None:
    splits.validate(good(), "train", like=good())
    with pytest.raises(PipelineError, match=rf"data/processed/train\.npz: {field}"):
        splits.validate(Split(*spoil(*good())), "train", like=good())


@pytest.mark.parametrize(
    ("side", "labels", "field"), [(32, 10, None), (24, 10, "images"), (32, 7, "labels")]
)
def test_splits_agree_in_side_and_classes(side: int, labels: int, field: str | None) -> None:
    images, one_hot = good()
    files.write_arrays(splits.path("test"), images=images, labels=one_hot)
    like = Split(np.zeros((5, side, side, 3), np.float32), np.zeros((5, labels), np.float32))
    if field is None:
        np.testing.assert_array_equal(splits.read("test", like).images, images)
    else:
        with pytest.raises(PipelineError, match=rf"test\.npz: {field}: expected shape"):
            splits.read("test", like)
    with pytest.raises(PipelineError, match=r"expected shape \(20, 31, 31, 3\)"):
        splits.validate(Split(images[:, :31], one_hot), "train")
