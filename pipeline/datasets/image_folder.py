"""The images of a folder: by class folder, or by split folder and class folder.

The names of split folders are those of Hugging Face's `imagefolder`. Files count as images by their
suffix. Hidden files and `name~` never do: .dvcignore keeps DVC from tracking them.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.datasets.image_loading import FORMATS

SPLIT_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_OF = {name: split for split, names in SPLIT_FOLDERS.items() for name in names}
SUFFIXES = tuple(
    suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS
)
# Thumbnails and deleted files, as network storages and operating systems keep them.
IGNORED_FOLDERS = ("#recycle", "$recycle.bin", "@eadir", "__macosx", "thumbnails", "thumbs")
MIN_CLASSES = 2

ImagesBySplit: TypeAlias = Mapping[str, Mapping[str, tuple[Path, ...]]]


def list_images(folder: Path) -> ImagesBySplit:
    """The images by split and class, sorted by name; only `train` where there are no split folders.

    All splits have the same classes. PipelineError with a line for each class that a split lacks,
    that has no image, or that is there twice, in another case or Unicode normalization.
    """
    try:
        images: dict[str, dict[str, tuple[Path, ...]]] = {}
        problems = []
        for split, split_folder in _split_folders(folder).items():
            class_folders = sorted(_subfolders(split_folder), key=_class_name)
            images[split] = {_class_name(own): tuple(_walk(own)) for own in class_folders}
            names = Counter(_class_name(own).casefold() for own in class_folders)
            clashes = [name for name, count in names.items() if count > 1]
            problems += [
                f"{split_folder}: {name!r} is there twice, but for case or Unicode; keep one"
                for name in clashes
            ]
    except OSError as error:
        raise PipelineError(
            f"dataset.folder: cannot read the folder {error.filename}: {error.strerror}; correct "
            "params.yaml, check permissions, or `dvc pull` if the images are tracked"
        ) from error
    if problems := [*problems, *_class_problems(folder, images)]:
        raise PipelineError("\n".join(problems))
    return images


def describe_folder(folder: Path, images: ImagesBySplit) -> str:
    """How many of the files below `folder` are `images`, and why the others are passed over."""
    listed = {path for by_class in images.values() for own in by_class.values() for path in own}
    others = (path for path in folder.rglob("*") if path not in listed and not path.is_dir())
    reasons = Counter(_reason(path.relative_to(folder)) for path in others)
    details = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    passed_over = f", {reasons.total():,} passed over: {details}" if reasons else ""
    return f"{len(listed):,} photos{passed_over}"


def _reason(path: Path) -> str:
    """Why the file at `path`, relative to the folder, is not read."""
    ignored = [f"in {parent}" for parent in path.parts[:-1] if _is_ignored(parent)]
    if not ignored and path.suffix.lower() in SUFFIXES:
        return "hidden or beside the class folders"
    return ignored[0] if ignored else path.suffix or path.name


def _is_ignored(folder_name: str) -> bool:
    return folder_name.startswith(".") or folder_name.lower() in IGNORED_FOLDERS


def _entries(folder: Path) -> Iterator[Path]:
    """The folders and the images directly in `folder`, sorted by name."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if not path.is_dir():
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                yield path
        elif not _is_ignored(path.name):
            if path.is_symlink():
                raise PipelineError(
                    f"{path}: expected a folder, found a link to one, which DVC does not track; "
                    "replace it by a copy"
                )
            yield path


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _walk(folder: Path) -> Iterator[Path]:
    """The images below `folder`, sorted by the parts of their paths."""
    for path in _entries(folder):
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each split, in the order of SPLIT_FOLDERS."""
    by_split = defaultdict[str | None, list[Path]](list)
    for path in _subfolders(folder):
        by_split[_split_of(path)].append(path)
    if not by_split.keys() - {None}:
        classes = by_split[None]
        if classes and all("train" in map(_split_of, _subfolders(path)) for path in classes):
            raise PipelineError(
                f"{folder}: expected classes in folders of splits, train/{classes[0].name}, found "
                f"splits in folders of classes, {classes[0].name}/train; swap the levels"
            )
        return {"train": folder}
    if "train" not in by_split or None in by_split or max(map(len, by_split.values())) > 1:
        names = ", ".join(repr(path.name) for paths in by_split.values() for path in paths)
        raise PipelineError(
            f"{folder}: expected one folder for each split ({', '.join(SPLIT_OF)}), `train` among "
            f"them, or folders of classes alone, found {names}; move or rename the others"
        )
    return {split: by_split[split][0] for split in SPLIT_FOLDERS if split in by_split}


def _split_of(folder: Path) -> str | None:
    return SPLIT_OF.get(folder.name.lower())


def _class_problems(folder: Path, images: ImagesBySplit) -> Iterator[str]:
    classes = list(dict.fromkeys(name for by_class in images.values() for name in by_class))
    if len(classes) < MIN_CLASSES:
        yield (
            f"{folder}: expected a folder of images for each of at least {MIN_CLASSES} classes, "
            f"found {', '.join(classes) or 'none'}"
        )
    for name in classes:
        if not name.isprintable():
            yield f"{folder}: expected a printable name of a class, found {name!r}; rename it"
        for split, by_class in images.items():
            if not by_class.get(name):
                yield (
                    f"{folder}: class {name!r} has no photo in {split}; add some "
                    f"({', '.join(FORMATS)}) or delete it"
                )


def _class_name(folder: Path) -> str:
    """The name in Unicode's NFC: macOS writes an umlaut as two characters, others as one."""
    return unicodedata.normalize("NFC", folder.name)
