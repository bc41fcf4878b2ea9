"""Stage preprocess on CIFAR-10: an even, seeded hold-out, exact values, refusal of anything odd."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.data import cifar10, classes, splits
from pipeline.data.settings import Cifar10
from pipeline.data.splits import Split
from pipeline.preprocess import stage as preprocess
from pipeline.preprocess.official import hold_out

RAW = Path("data/raw")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 500 training and 100 test images and params.yaml, as the current one."""
    monkeypatch.chdir(tmp_path)
    synthetic.write_batches(RAW)
    set_params()
    return tmp_path


def set_params(train_images: object = 400, validation_images: object = 50, seed: int = 1) -> None:
    Path("params.yaml").write_text(
        f"dataset: {{kind: cifar10, folder: {RAW}, train_images: {train_images}, "
        f"validation_images: {validation_images}, seed: {seed}}}\n"
    )


def settings(train: int = 400, validation: int = 50, seed: int = 1) -> Cifar10:
    return Cifar10(
        kind="cifar10",
        folder=str(RAW),
        train_images=train,
        validation_images=validation,
        seed=seed,
    )


def decoded(names: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    return cifar10.decode(b"".join((RAW / name).read_bytes() for name in names), "raw")


LABELS = synthetic.make_images(500, seed=5)[1]
# As the stage wrote them when CIFAR-10 was all it knew.
SHA256 = {
    "train": "eff5cb5d878eca99935acc5e8a541a439ba15e000a4b723a3652dcfd98911253",
    "validation": "0e8984ba6b731d55c75584373b7a85cabf260fb6057eed1ea13ed72ccd231a6f",
    "test": "f3b84d26410c656bc540db4a210ee0b11f9c62dd1f8295c67c5b487acf30a19e",
}


@pytest.mark.usefixtures("workspace")
def test_main_writes_three_splits_as_promised() -> None:
    preprocess.main([])
    for name, images, per_class in (("train", 400, 40), ("validation", 50, 5), ("test", 100, 10)):
        split = splits.read(name)
        assert split.images.shape == (images, 32, 32, 3)
        assert split.labels.shape == (images, 10)
        assert split.images.dtype == split.labels.dtype == np.float32
        assert split.labels.sum(axis=0).tolist() == [per_class] * 10
    assert classes.read() == cifar10.CLASSES


@pytest.mark.usefixtures("workspace")
def test_bytes_of_cifar10_are_those_of_ever() -> None:
    preprocess.main([])
    found = {name: hashlib.sha256(splits.path(name).read_bytes()) for name in splits.NAMES}
    assert {name: digest.hexdigest() for name, digest in found.items()} == SHA256


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "No such file"), (b"", "an empty file"), (b"\xff\n", "can't decode")],
)
def test_names_of_classes_that_cannot_be_read_are_an_error_with_the_remedy(
    content: bytes | None, found: str
) -> None:
    if content is not None:
        files.write(classes.PATH, lambda temporary: temporary.write_bytes(content))
    text = rf"classes\.txt: expected the names of the classes, found .*{found}.*repro preprocess"
    with pytest.raises(PipelineError, match=text):
        classes.read()


@pytest.mark.usefixtures("workspace")
def test_the_folder_is_that_of_the_settings() -> None:
    RAW.rename("elsewhere")
    text = Path("params.yaml").read_text().replace(str(RAW), "elsewhere")
    Path("params.yaml").write_text(text)
    preprocess.main([])
    digest = hashlib.sha256(splits.path("test").read_bytes()).hexdigest()
    assert digest == SHA256["test"]


@pytest.mark.usefixtures("workspace")
def test_values_are_levels_over_255_in_file_order_under_their_labels() -> None:
    preprocess.main([])
    for names, held in (
        (
            cifar10.TRAIN_FILES,
            dict(
                zip(
                    ("train", "validation"),
                    hold_out(decoded(cifar10.TRAIN_FILES)[1], settings()),
                    strict=True,
                )
            ),
        ),
        (cifar10.TEST_FILES, {"test": np.arange(100)}),
    ):
        images, labels = decoded(names)
        for name, indices in held.items():
            split = splits.read(name)
            expected = images[indices].astype(np.float32) / np.float32(255)
            np.testing.assert_array_equal(split.images, expected)
            np.testing.assert_array_equal(split.labels.argmax(axis=1), labels[indices])


@pytest.mark.usefixtures("workspace")
def test_main_writes_the_same_bytes_twice() -> None:
    preprocess.main([])
    first = {name: splits.path(name).read_bytes() for name in splits.NAMES}
    preprocess.main([])
    assert first == {name: splits.path(name).read_bytes() for name in splits.NAMES}


@pytest.mark.usefixtures("workspace")
def test_only_the_seed_decides_and_never_about_the_test_set() -> None:
    preprocess.main([])
    first = {name: splits.path(name).read_bytes() for name in splits.NAMES}
    set_params(seed=2)
    preprocess.main([])
    same = {name: splits.path(name).read_bytes() == first[name] for name in splits.NAMES}
    assert same == {"train": False, "validation": False, "test": True}


def test_hold_out_is_even_disjoint_and_ascending() -> None:
    train, validation = hold_out(LABELS, settings())
    assert np.bincount(LABELS[train]).tolist() == [40] * 10
    assert np.bincount(LABELS[validation]).tolist() == [5] * 10
    assert not set(train) & set(validation)
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()


def test_hold_out_draws_from_the_whole_of_each_class() -> None:
    _, validation = hold_out(LABELS, settings())
    assert validation.min() < 100
    assert validation.max() >= 400


def test_changing_train_images_keeps_validation_and_nests_train() -> None:
    few, validation = hold_out(LABELS, settings(train=100))
    many, again = hold_out(LABELS, settings(train=450))
    np.testing.assert_array_equal(validation, again)
    assert set(few) < set(many)


def test_uneven_classes_still_give_even_splits() -> None:
    labels = np.concatenate([LABELS, np.zeros(70, np.uint8)])
    train, validation = hold_out(labels, settings(train=450))
    assert np.bincount(labels[train]).tolist() == [45] * 10
    assert np.bincount(labels[validation]).tolist() == [5] * 10


@pytest.mark.parametrize(
    ("train", "validation", "text"),
    [
        (460, 50, r"dataset\.train_images: expected at most 450 beside 50 .*found 460"),
        (10, 500, r"dataset\.validation_images: expected at most 490 .*found 500"),
        (10, 1000, r"dataset\.validation_images: .*smallest class has 50 images"),
    ],
)
def test_hold_out_names_the_key_that_asks_for_too_many(
    train: int, validation: int, text: str
) -> None:
    with pytest.raises(PipelineError, match=text):
        hold_out(LABELS, settings(train, validation))


def test_hold_out_refuses_a_class_without_images() -> None:
    with pytest.raises(PipelineError, match=r"at most 0 .*smallest class has 0 images"):
        hold_out(LABELS[LABELS != 9], settings())


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("key", ["train_images", "validation_images"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "a number above 0"),
        (-10, "a number above 0"),
        (15, "a multiple of 10"),
        ("'50'", "a whole number"),
        ("50.0", "a whole number"),
        ("true", "a whole number"),
        ("null", "a whole number"),
    ],
)
def test_main_refuses_counts_that_are_no_positive_multiple_of_ten(
    key: str, value: object, expected: str
) -> None:
    set_params(**{key: value})  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match=rf"params\.yaml: dataset\.{key}: expected {expected}"):
        preprocess.main([])
    assert not Path("data/processed").exists()


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.unlink(), r"data_batch_3\.bin.*dvc repro fetch"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"data/raw: expected a whole"),
        (lambda path: path.write_bytes(b"\xff" * 3073), "expected labels 0 to 9, found 255"),
    ],
    ids=["missing", "truncated", "label"],
)
def test_main_refuses_damaged_batches_and_writes_nothing(
    damage: Callable[[Path], object], text: str
) -> None:
    damage(RAW / "data_batch_3.bin")
    with pytest.raises(PipelineError, match=text):
        preprocess.main([])
    assert not Path("data/processed").exists()


def good() -> Split:
    return Split(*synthetic.arrays(20, seed=1))


def changed(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


def test_validate_accepts_what_is_right() -> None:
    splits.validate(good(), "train")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda i, y: (i[:, :31], y), r"images: expected shape \(20, 32, 32, 3\)"),
        (lambda i, y: (i[0], y), r"images: expected shape"),
        (lambda i, y: (i[:0], y[:0]), "images: .*at least one image"),
        (lambda i, y: (i, y[:19]), r"labels: expected shape \(20, 10\).*found \(19, 10\)"),
        (lambda i, y: (i, y[:, :9]), r"labels: expected shape \(20, 10\)"),
        (lambda i, y: (i, y.argmax(1).astype(np.float32)), "labels: expected shape"),
        (lambda i, y: (i.astype(np.float64), y), "images: expected dtype float32, found float64"),
        (lambda i, y: ((i * 255).astype(np.uint8), y), "images: expected dtype .*found uint8"),
        (lambda i, y: (i, y.astype(np.int64)), "labels: expected dtype float32, found int64"),
        (lambda i, y: (changed(i, (3, 1, 2, 0), np.nan), y), "images: .*missing.*found 1 NaN"),
        (lambda i, y: (i, changed(y, (3, 1), np.nan)), "labels: .*missing.*found 1 NaN"),
        (lambda i, y: (i * 255, y), "images: expected values from 0 to 1, found 0 to 255"),
        (lambda i, y: (i - np.float32(0.5), y), "images: expected values from 0 to 1, found -0.5"),
        (lambda i, y: (changed(i, (0, 0, 0, 0), np.inf), y), "images: .*0 to inf"),
        (lambda i, y: (i, changed(y, (4,), 0)), "labels: expected a single 1.*in row 4"),
        (lambda i, y: (i, changed(y, (4,), 1)), "labels: expected a single 1.*in row 4"),
        (lambda i, y: (i, y * np.float32(0.5)), "labels: expected a single 1"),
    ],
)
def test_validate_refuses(
    spoil: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], text: str
) -> None:
    with pytest.raises(PipelineError, match=rf"data/processed/train\.npz: {text}"):
        splits.validate(Split(*spoil(*good())), "train", like=good())


def test_validate_needs_no_other_split_to_refuse_images_that_are_not_square() -> None:
    images, labels = good()
    text = r"expected shape \(20, 31, 31, 3\) .*found \(20, 31, 32, 3\)"
    with pytest.raises(PipelineError, match=text):
        splits.validate(Split(images[:, :31], labels), "train")


@pytest.mark.usefixtures("workspace")
def test_read_refuses_a_file_that_holds_something_else() -> None:
    images, labels = good()
    Path("data/processed").mkdir(parents=True)
    np.savez(splits.path("train"), images=images * 2, labels=labels)
    with pytest.raises(PipelineError, match=r"train\.npz: images: expected values.*dvc repro"):
        splits.read("train")


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("side", "classes", "text"),
    [
        (32, 10, None),
        (24, 10, r"images: expected shape \(20, 24, 24, 3\) .*found \(20, 32, 32, 3\)"),
        (32, 7, r"labels: expected shape \(20, 7\) .*found \(20, 10\)"),
    ],
)
def test_read_expects_the_side_and_the_classes_of_another_split(
    side: int, classes: int, text: str | None
) -> None:
    images, labels = good()
    files.write_arrays(splits.path("test"), images=images, labels=labels)
    like = Split(np.zeros((5, side, side, 3), np.float32), np.zeros((5, classes), np.float32))
    if text is None:
        np.testing.assert_array_equal(splits.read("test", like).images, images)
    else:
        with pytest.raises(PipelineError, match=rf"test\.npz: {text}"):
            splits.read("test", like)
