"""Folders of photos as people have them: found by their usual names, and what is odd named."""

import os
import re
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.preprocess import folders

COMPOSED, DECOMPOSED = "K\u00e4fer", "Ka\u0308fer"
HIDDEN = (
    *(".DS_Store", "._a.jpg", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"),
    *(".ipynb_checkpoints/a-checkpoint.jpg", ".hidden/deep/a.jpg"),
)


def put(folder: Path, *files: str) -> Path:
    """`folder` with empty `files`, their folders too."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def found(folder: Path) -> dict[str, dict[str, list[str]]]:
    """What `folders.find` gives, the paths relative to `folder`."""
    return {
        split: {name: [str(p.relative_to(folder)) for p in paths] for name, paths in own.items()}
        for split, own in folders.find(folder).items()
    }


def refusal(folder: Path) -> list[str]:
    """The lines of what is said of `folder`."""
    with pytest.raises(PipelineError) as caught:
        folders.find(folder)
    return str(caught.value).splitlines()


def spelt(*names: str) -> list[str]:
    """The `names` in any case."""
    return [own for name in names for own in (name, name.upper(), name.capitalize())]


def test_photos_of_an_undivided_folder_are_all_to_train(tmp_path: Path) -> None:
    put(tmp_path, "dog/b.jpg", "dog/a.png", "cat/c", "ant/1.gif")
    assert found(tmp_path) == {
        "train": {"ant": ["ant/1.gif"], "cat": ["cat/c"], "dog": ["dog/a.png", "dog/b.jpg"]}
    }
    assert list(folders.find(tmp_path)["train"]) == ["ant", "cat", "dog"]


@pytest.mark.parametrize("train", spelt("train", "training"))
@pytest.mark.parametrize("test", ["test", None])
def test_training_photos_are_in_a_folder_of_either_name(
    tmp_path: Path, train: str, test: str | None
) -> None:
    for split in filter(None, (train, test)):
        put(tmp_path / split, "a/1.jpg", "b/2.jpg")
    assert found(tmp_path) == {
        split: {"a": [f"{place}/a/1.jpg"], "b": [f"{place}/b/2.jpg"]}
        for split, place in (("train", train), ("test", test))
        if place
    }


@pytest.mark.parametrize("name", spelt("validation", "valid", "val", "dev"))
def test_validation_photos_are_in_a_folder_of_any_of_its_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, "train/a/1", "train/b/1", f"{name}/a/1", f"{name}/b/1")
    assert found(tmp_path)["validation"] == {"a": [f"{name}/a/1"], "b": [f"{name}/b/1"]}


@pytest.mark.parametrize("name", spelt("test", "testing", "eval", "evaluation"))
def test_test_photos_are_in_a_folder_of_any_of_its_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, "train/a/1", "train/b/1", f"{name}/a/1", f"{name}/b/1")
    assert found(tmp_path)["test"] == {"a": [f"{name}/a/1"], "b": [f"{name}/b/1"]}


def test_splits_come_in_their_order(tmp_path: Path) -> None:
    for split in ("eval", "dev", "train"):
        put(tmp_path / split, "a/1", "b/1")
    assert list(folders.find(tmp_path)) == ["train", "validation", "test"]


def test_any_file_in_any_folder_below_a_class_is_a_photo_of_it(tmp_path: Path) -> None:
    odd = ("a b.jpg", "ä.jpg", "line\nend.jpg", "no-extension", "x.unknown", "café.JPEG")
    put(tmp_path, *(f"a/{name}" for name in odd), "a/deep/er/1.jpg", "a/b.jpg", "b/1.jpg")
    names = sorted([*((name,) for name in odd), ("deep", "er", "1.jpg"), ("b.jpg",)])
    assert found(tmp_path)["train"]["a"] == ["/".join(("a", *parts)) for parts in names]


def test_the_order_of_photos_is_that_of_their_names_on_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "b/2", "b/10", "b/x/1", "b/B", "a/1", "a/0")
    expected = {"a": ["a/0", "a/1"], "b": ["b/10", "b/2", "b/B", "b/x/1"]}
    walk, iterdir = os.walk, Path.iterdir
    monkeypatch.setattr(
        os,
        "walk",
        lambda *given, **named: ((f, d[::-1], n[::-1]) for f, d, n in walk(*given, **named)),
    )
    assert found(tmp_path)["train"] == expected
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(list(iterdir(self))[::-1]))
    assert found(tmp_path)["train"] == expected
    assert list(folders.find(tmp_path)["train"]) == ["a", "b"]


@pytest.mark.parametrize("place", ["", "train/", "train/a/"])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_systems_and_notebooks_leave_is_passed_over(
    tmp_path: Path, place: str, hidden: str
) -> None:
    put(tmp_path, "train/a/1", "train/b/1")
    expected = found(tmp_path)
    put(tmp_path, place + hidden)
    assert found(tmp_path) == expected


def test_files_beside_the_classes_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a/1", "b/1", "README.md", "labels.csv")
    assert found(tmp_path) == {"train": {"a": ["a/1"], "b": ["b/1"]}}


def test_a_link_to_a_folder_is_a_class(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/1", "photos/a/1")
    (tmp_path / "photos/b").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "photos")["train"] == {"a": ["a/1"], "b": ["b/1"]}


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        (
            ["train/a/1", "train/b/1", "val/a/1", "test/a/1", "test/b/1"],
            [r"class 'b' is missing from validation; add photos of it there, or take it out"],
        ),
        (
            ["train/a/1", "train/b/1", "test/a/1", "test/b/1", "test/new/1"],
            [r"class 'new' is missing from train; "],
        ),
        (
            ["train/a/1", "train/b/1", "val/a/1", "val/b/1", "test/a/1", "test/b/1", "test/new/1"],
            [r"class 'new' is missing from train and validation; "],
        ),
        (
            ["train/a/1", "train/b/1", "val/b/1", "val/c/1", "test/a/1"],
            [
                r"class 'a' is missing from validation; ",
                r"class 'b' is missing from test; ",
                r"class 'c' is missing from train and test; ",
            ],
        ),
        (["a/1", "b/.DS_Store"], [r"class 'b' has no photo in train; add some, or delete it"]),
        (
            ["train/a/1", "train/b/1", "val/a/Thumbs.db", "val/b/1"],
            [r"class 'a' has no photo in validation; "],
        ),
        (["Cat/1", "cat/1", "dog/1"], [r"the classes 'Cat' and 'cat' differ in case alone; "]),
        (
            ["train/Cat/1", "train/dog/1", "test/cat/1", "test/dog/1"],
            [
                r"the classes 'Cat' and 'cat' differ in case alone; ",
                r"class 'Cat' is missing from test; ",
                r"class 'cat' is missing from train; ",
            ],
        ),
        (["a/1"], [r"at least 2 classes, found a"]),
        (["train/.git/1"], [r"at least 2 classes, found none"]),
        (["1.jpg", "2.jpg"], [r"at least 2 classes, found none"]),
        (["a\nb/1", "c/1"], [r"a printable name of a class, found 'a\\nb'; rename it"]),
        (
            ["test/a/1", "test/b/1"],
            [r"photos/test: expected a folder `train` beside one of this name"],
        ),
        (["cat/1", "dog/1", "Dev/1"], [r"photos/Dev: expected a folder `train` beside .*a class$"]),
        (
            ["train/a/1", "train/b/1", "extra\n/a/1"],
            [r"only folders of splits beside `train` .*, found 'extra\\n'; move it"],
        ),
        (
            ["train/a/1", "train/b/1", "val/a/1", "val/b/1", "dev/a/1", "dev/b/1"],
            [r"photos/(val and .*/dev|dev and .*/val) both say validation; keep one"],
        ),
    ],
)
def test_what_is_odd_is_named_in_a_line_each(
    tmp_path: Path, files: list[str], lines: list[str]
) -> None:
    said = refusal(put(tmp_path / "photos", *files))
    assert len(said) == len(lines)
    for one, expected in zip(said, lines, strict=True):
        assert re.search(expected, one)
        assert str(tmp_path / "photos") in one


def test_everything_odd_is_named_at_once(tmp_path: Path) -> None:
    put(tmp_path, "Cat/1", "cat/1", "dog/.DS_Store", f"{COMPOSED}/1", f"{DECOMPOSED}/1")
    assert len(refusal(tmp_path)) == 3


def test_an_umlaut_is_one_letter_however_a_system_writes_it(tmp_path: Path) -> None:
    put(tmp_path, f"train/{COMPOSED}/1", "train/a/1", f"test/{DECOMPOSED}/1", "test/a/1")
    splits = found(tmp_path)
    assert [list(own) for own in splits.values()] == [[COMPOSED, "a"]] * 2
    assert splits["test"][COMPOSED] == [f"test/{DECOMPOSED}/1"]


def test_both_ways_to_write_an_umlaut_at_once_are_refused(tmp_path: Path) -> None:
    put(tmp_path, f"{COMPOSED}/1", f"{DECOMPOSED}/2", "a/3")
    (said,) = refusal(tmp_path)
    assert said.endswith(
        r"the classes 'Ka\u0308fer' and 'K\xe4fer' are one name, spelt in two ways of Unicode; "
        "put their photos into one folder"
    )


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_is_not_there_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (said,) = refusal(tmp_path / name)
    assert said.startswith("dataset.folder: expected a folder with a folder of photos a class")
    assert said.endswith("correct params.yaml, or `dvc pull` if the photos are tracked")


@pytest.mark.parametrize("place", ["a/deep", "a"])
def test_a_folder_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    put(tmp_path, "a/1", "a/deep/2", "b/1")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if Path(path) == tmp_path / place:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    (said,) = refusal(tmp_path)
    assert said == (
        f"cannot read the folder {tmp_path / place}: Permission denied; check its permissions"
    )
