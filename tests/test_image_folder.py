"""Folders of images: the layouts that are read, what is passed over, and what is refused."""

import re
from pathlib import Path

import pytest
import workspace
from conftest import PROJECT
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.datasets import image_folder, image_loading

NFC, NFD = "K\u00e4fer", "Ka\u0308fer"
BOTH = ["train/a/1.png", "train/b/1.png"]
# Nothing of these is an image: path below a class folder, and the reason that is given.
PASSED_OVER = {
    ".DS_Store": ".DS_Store",
    "._1.jpg": "hidden or beside the class folders",
    "Thumbs.db": ".db",
    "notes": "notes",
    "1.jpg~": ".jpg~",
    "1.json": ".json",
    "photo.heic": ".heic",
    ".ipynb_checkpoints/1.jpg": "in .ipynb_checkpoints",
    "@eaDir/1.jpg": "in @eaDir",
    "deep/__MACOSX/er/1.jpg": "in __MACOSX",
}


def put(folder: Path, *files: str) -> Path:
    """`folder` with the empty `files`."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder: Path) -> dict[str, dict[str, list[str]]]:
    """The images with paths relative to `folder`."""
    return {
        split: {name: [str(p.relative_to(folder)) for p in own] for name, own in by_class.items()}
        for split, by_class in image_folder.list_images(folder).items()
    }


def refusal(folder: Path) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        image_folder.list_images(folder)
    return str(caught.value).splitlines()


def test_class_folders_alone_are_all_for_training(tmp_path: Path) -> None:
    put(tmp_path, "dog/b.jpg", "dog/a.PNG", "cat/line\nend.tif", "ant/deep/er/1.gif", "ant/z.webp")
    images = listed(tmp_path)
    assert images == {
        "train": {
            "ant": ["ant/deep/er/1.gif", "ant/z.webp"],
            "cat": ["cat/line\nend.tif"],
            "dog": ["dog/a.PNG", "dog/b.jpg"],
        }
    }
    assert list(images["train"]) == ["ant", "cat", "dog"]


@pytest.mark.parametrize(
    ("name", "split"),
    [(name, split) for split, names in image_folder.SPLIT_FOLDERS.items() for name in names],
)
def test_split_folders_have_the_names_of_imagefolder(tmp_path: Path, name: str, split: str) -> None:
    for own in (name.capitalize(), "test" if split != "test" else "val", "train"):
        if own != "train" or split != "train":
            put(tmp_path / own, "a/1.png", "b/1.png")
    images = listed(tmp_path)
    assert list(images) == [own for own in ("train", "validation", "test") if own in images]
    assert images[split] == {own: [f"{name.capitalize()}/{own}/1.png"] for own in "ab"}


def test_order_is_by_name_on_every_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "b/2.png", "b/10.png", "b/x/1.png", "b/B.png", "a/1.png", "a/0.png")
    iterdir = Path.iterdir
    for step in (1, -1):
        monkeypatch.setattr(
            Path, "iterdir", lambda self, step=step: iter(sorted(iterdir(self))[::step])
        )
        images = listed(tmp_path)["train"]
        assert list(images) == ["a", "b"]
        assert images["b"] == ["b/10.png", "b/2.png", "b/B.png", "b/x/1.png"]


@pytest.mark.parametrize("name", PASSED_OVER)
def test_other_files_are_passed_over_and_counted(tmp_path: Path, name: str) -> None:
    put(tmp_path, *BOTH)
    expected = listed(tmp_path)
    put(tmp_path, f"train/a/{name}")
    assert listed(tmp_path) == expected
    description = image_folder.describe_folder(tmp_path, image_folder.list_images(tmp_path))
    assert description == f"2 photos, 1 passed over: 1 {PASSED_OVER[name]}"


def test_description_counts_each_reason(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    images = image_folder.list_images(tmp_path)
    assert image_folder.describe_folder(tmp_path, images) == "2 photos"
    put(tmp_path, "loose.jpg", "a/1.json", "b/1.json", "@eaDir/a/1.jpg")
    assert listed(tmp_path) == {"train": {"a": ["a/1.png"], "b": ["b/1.png"]}}
    description = image_folder.describe_folder(tmp_path, images)
    assert description.startswith("2 photos, 4 passed over: 2 .json, ")
    assert {"1 in @eaDir", "1 hidden or beside the class folders"} < set(description.split(", "))


def test_dvc_tracks_every_image_that_is_listed(tmp_path: Path) -> None:
    """An image that DVC ignores would be missing from a clone."""
    put(tmp_path, *BOTH, *(f"train/a/{name}" for name in PASSED_OVER))
    names = [
        name for by_class in listed(tmp_path).values() for own in by_class.values() for name in own
    ]
    workspace.run(tmp_path, "git", "init", "--quiet")
    workspace.run(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / ".dvcignore").write_text((PROJECT / ".dvcignore").read_text())
    assert workspace.run(tmp_path, "dvc", "check-ignore", *names, expect=1) == ""
    ignored = ["train/a/1.jpg~", "train/a/._1.jpg"]
    assert workspace.run(tmp_path, "dvc", "check-ignore", *ignored).split() == ignored


def test_suffixes_are_those_of_the_formats_that_are_decoded() -> None:
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in image_folder.SUFFIXES} == set(image_loading.FORMATS)
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif"} < set(image_folder.SUFFIXES)


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ([*BOTH, "val/a/1.png", "test/a/1.png", "test/b/1.png"], ["'b' has no photo in valid"]),
        ([*BOTH, "test/a/1.png", "test/b/1.png", "test/c/1.png"], ["'c' has no photo in train"]),
        (["a/1.png", "b/1.txt"], ["'b' has no photo in train"]),
        (["Cat/1.png", "cat/1.png", "dog/1.png"], ["'cat' is there twice"]),
        ([f"{NFC}/1.png", f"{NFD}/1.png", "dog/1.png"], ["is there twice"]),
        (["Cat/1.png", "cat/1.png", "dog/1.txt"], ["'cat' is there twice", "'dog' has no photo"]),
        (
            ["train/Cat/1.png", "train/b/1.png", "test/cat/1.png", "test/b/1.png"],
            ["'Cat'", "'cat'"],
        ),
        (["a/1.png"], ["at least 2 classes, found a"]),
        (["1.jpg"], ["at least 2 classes, found none"]),
        (["a\nb/1.png", "c/1.png"], [r"printable name of a class, found 'a\\nb'"]),
        (["test/a/1.png", "test/b/1.png"], ["found 'test'; move or rename"]),
        (["cat/1.png", "dog/1.png", "Train/1.png"], ["found 'Train', 'cat', 'dog'; move"]),
        ([*BOTH, "extra/a/1.png"], ["'extra'"]),
        ([*BOTH, "val/a/1.png", "dev/a/1.png"], ["one folder for each split"]),
        (["a/train/1.png", "a/test/1.png", "b/train/1.png"], ["train/a, found .* a/train"]),
    ],
)
def test_what_is_wrong_is_named_in_a_line_each(
    tmp_path: Path, files: list[str], lines: list[str]
) -> None:
    found = refusal(put(tmp_path, *files))
    assert len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert line.startswith(str(tmp_path))
        assert re.search(expected, line)


def test_a_class_may_have_a_folder_called_train(tmp_path: Path) -> None:
    put(tmp_path, "toy/train/1.png", "real/1.png")
    assert listed(tmp_path)["train"]["toy"] == ["toy/train/1.png"]


def test_class_names_are_compared_in_one_unicode_normalization(tmp_path: Path) -> None:
    put(tmp_path, f"train/{NFC}/1.png", "train/a/1.png", f"test/{NFD}/1.png", "test/a/1.png")
    images = listed(tmp_path)
    assert images["test"] == {NFC: [f"test/{NFD}/1.png"], "a": ["test/a/1.png"]}


@pytest.mark.parametrize("link", ["b", "a/more"])
def test_links_to_folders_are_refused(tmp_path: Path, link: str) -> None:
    """DVC does not follow them."""
    put(tmp_path, "elsewhere/1.png", "photos/a/1.png", "photos/c/1.png")
    (tmp_path / "photos" / link).symlink_to(tmp_path / "elsewhere")
    (line,) = refusal(tmp_path / "photos")
    assert line.startswith(f"{tmp_path}/photos/{link}: ")


@pytest.mark.parametrize("folder", ["nowhere", "file.png"])
def test_a_missing_folder_is_named(tmp_path: Path, folder: str) -> None:
    (line,) = refusal(put(tmp_path, "file.png") / folder)
    assert line.startswith("dataset.folder: ")
    assert str(tmp_path / folder) in line


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/1.png", "a/deep/2.png", "b/1.png")
    iterdir = Path.iterdir

    def deny(path: Path) -> object:
        if path.name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", deny)
    (line,) = refusal(tmp_path)
    assert f"{tmp_path}/a/deep: Permission denied" in line
