"""Folders of images: the layouts that are read, what is passed over, and what is refused."""

import re
from pathlib import Path

import pytest
import workspace
from conftest import PROJECT

from pipeline.core.errors import PipelineError
from pipeline.datasets import image_folder

NFC, NFD = "K\u00e4fer", "Ka\u0308fer"
BOTH = ["train/a/1.png", "train/b/1.png"]
# Nothing of these, in a class folder, is an image.
PASSED_OVER = [
    *(".DS_Store", "._1.jpg", "Thumbs.db", "notes", "1.jpg~", "photo.heic", "scan.tif"),
    *(".ipynb_checkpoints/1.jpg", "@eaDir/1.jpg", "deep/__MACOSX/er/1.jpg"),
]


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


def test_class_folders_alone_are_all_for_training_in_the_order_of_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "dog/b.jpg", "dog/a.PNG", "cat/1.jp2", "ant/deep/er/1.gif", "ant/z.webp")
    put(tmp_path, "dog/10.png", "dog/2.png", "dog/train/1.png", "loose.jpg")
    put(tmp_path, *(f"cat/{name}" for name in PASSED_OVER))
    images = listed(tmp_path)
    passed_over = f"passed over {1 + len(PASSED_OVER)} other files, the first {tmp_path}/cat/.DS_"
    assert f"{tmp_path}: 8 photos; {passed_over}" in capsys.readouterr().out
    assert images == {
        "train": {
            "ant": ["ant/deep/er/1.gif", "ant/z.webp"],
            "cat": ["cat/1.jp2"],
            "dog": ["dog/10.png", "dog/2.png", "dog/a.PNG", "dog/b.jpg", "dog/train/1.png"],
        }
    }
    assert list(images["train"]) == ["ant", "cat", "dog"]


@pytest.mark.parametrize("name", image_folder.SPLIT_OF)
def test_split_folders_have_the_names_of_imagefolder(tmp_path: Path, name: str) -> None:
    split = image_folder.SPLIT_OF[name]
    for own in (name.capitalize(), "test" if split != "test" else "val", "train"):
        if own != "train" or split != "train":
            put(tmp_path / own, "a/1.png", "b/1.png", "loose.png")
    images = listed(tmp_path)
    assert list(images) == [own for own in ("train", "validation", "test") if own in images]
    assert images[split] == {own: [f"{name.capitalize()}/{own}/1.png"] for own in "ab"}


def test_dvc_tracks_every_image_that_is_listed(tmp_path: Path) -> None:
    """An image that DVC ignores would be missing from a clone."""
    put(tmp_path, *BOTH)
    expected = listed(tmp_path)
    put(tmp_path, *(f"train/a/{name}" for name in PASSED_OVER))
    assert listed(tmp_path) == expected
    workspace.run(tmp_path, "git", "init", "--quiet")
    workspace.run(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / ".dvcignore").write_text((PROJECT / ".dvcignore").read_text())
    assert workspace.run(tmp_path, "dvc", "check-ignore", *BOTH, expect=1) == ""
    ignored = ["train/a/1.jpg~", "train/a/._1.jpg"]
    assert workspace.run(tmp_path, "dvc", "check-ignore", *ignored).split() == ignored


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ([*BOTH, "val/a/1.png", "test/a/1.png", "test/b/1.png"], ["'b' .* validation"]),
        ([*BOTH, "test/a/1.png", "test/b/1.png", "test/c/1.png"], ["'c' .* train"]),
        (["a/1.png", "b/1.txt"], ["'b' .* train"]),
        (
            ["train/Cat/1.png", "train/b/1.png", "test/cat/1.png", "test/b/1.png"],
            ["'Cat' .* test", "'cat' .* train"],
        ),
        (["a/1.png"], ["^dataset.folder: .* 2 classes .* found a;"]),
        (["1.jpg"], ["^dataset.folder: .* 2 classes .* found none;"]),
        (["test/a/1.png", "test/b/1.png"], ["'a' .* train", "'b' .* train"]),
        (["cat/1.png", "dog/1.png", "Train/1.png"], ["Train, cat, dog"]),
        (["a/train/1.png", "a/test/1.png", "b/train/1.png"], ["a/train; swap"]),
        (["a/1.png", "b\nc/1.png"], [r"b\\nc: .*one line"]),
        (["a/1.png", "b/caf\udce9.png"], ["caf.*UTF-8"]),
        (["a/1.png", "b/1.png", "c/closed/1.png"], ["c/closed: .*permissions"]),
    ],
)
def test_what_is_wrong_is_named_in_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], lines: list[str]
) -> None:
    put(tmp_path, *files)
    monkeypatch.setattr("os.access", lambda path, _: path.name != "closed")  # root may read all
    with pytest.raises(PipelineError) as caught:
        image_folder.list_images(tmp_path)
    for line, expected in zip(str(caught.value).splitlines(), lines, strict=True):
        assert str(tmp_path) in line
        assert re.search(expected, line)


def test_class_names_are_in_one_unicode_normalization(tmp_path: Path) -> None:
    put(tmp_path, f"train/{NFD}/1.png", "train/Kz/1.png", f"test/{NFC}/1.png", "test/Kz/1.png")
    images = listed(tmp_path)
    assert list(images["train"]) == list(images["test"]) == ["Kz", NFC]


@pytest.mark.parametrize(
    ("folder", "start"),
    [
        ("class", "{}/b: "),
        ("deep", "{}/a/more: "),
        ("nowhere", "dataset.folder: .* {},"),
        ("file.png", "dataset.folder: .* {},"),
    ],
)
def test_links_to_folders_and_missing_folders_are_refused(
    tmp_path: Path, folder: str, start: str
) -> None:
    """DVC does not follow links."""
    put(tmp_path, "file.png", "class/a/1.png", "class/c/1.png", "deep/a/1.png", "deep/c/1.png")
    (tmp_path / "class/b").symlink_to(tmp_path / "deep")
    (tmp_path / "deep/a/more").symlink_to(tmp_path / "class")
    with pytest.raises(PipelineError, match=f"^{start.format(tmp_path / folder)}"):
        image_folder.list_images(tmp_path / folder)
