"""The images of a folder: by class folder, or by split folder and class folder.

The names of split folders are those of Hugging Face's `imagefolder`. Files count as images by their
suffix. Hidden files and `name~` never do: .dvcignore keeps DVC from tracking them.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.datasets.image_loading import FORMATS

SPLIT_OF: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
SUFFIXES = [suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS]
# Thumbnails and deleted files, as network storages and operating systems keep them.
IGNORED_FOLDERS = ("#recycle", "$recycle.bin", "@eadir", "__macosx", "thumbnails", "thumbs")

ImagesBySplit: TypeAlias = Mapping[str, Mapping[str, Sequence[Path]]]


def list_images(folder: Path) -> ImagesBySplit:
    """The images by split and class, sorted by name; only `train` where there are no split folders.

    All splits have the same classes. PipelineError with a line for each class that has no image in
    a split.
    """
    paths = _walk(folder)
    tops = [path.name for path in paths if path.parent == folder and path.is_dir()]
    has_splits = any(name.lower() in SPLIT_OF for name in tops)
    if has_splits and not all(name.lower() in SPLIT_OF for name in tops):
        raise PipelineError(
            f"{folder}: expected folders of splits ({', '.join(SPLIT_OF)}) or of classes, found "
            f"both: {', '.join(tops)}; move or rename some"
        )
    if tops and not has_splits and all((folder / name / "train").is_dir() for name in tops):
        raise PipelineError(
            f"{folder}: expected classes in folders of splits, train/{tops[0]}, found splits in "
            f"folders of classes, {tops[0]}/train; swap the levels"
        )
    by_split = {split: defaultdict[str, list[Path]](list) for split in SPLIT_OF.values()}
    for path in paths:
        folders = list((path if path.is_dir() else path.parent).relative_to(folder).parts)
        split = SPLIT_OF[folders.pop(0).lower()] if has_splits and folders else "train"
        if folders:
            # NFC: macOS writes an umlaut as two characters, other systems as one.
            own = by_split[split][unicodedata.normalize("NFC", folders[0])]
            own += [] if path.is_dir() else [path]
    images = {
        split: dict(sorted(by_class.items()))
        for split, by_class in by_split.items()
        if by_class or split == "train"
    }
    if problems := _class_problems(folder, images):
        raise PipelineError("\n".join(problems))
    return images


def _walk(folder: Path) -> list[Path]:
    """The folders and the images below `folder`, sorted by the parts of their paths."""
    paths = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part.lower() in IGNORED_FOLDERS for part in parts):
            continue
        if path.is_symlink() and path.is_dir():
            raise PipelineError(
                f"{path}: expected a folder, found a link to one, which DVC does not track; "
                "replace it by a copy"
            )
        if path.is_dir() or path.suffix.lower() in SUFFIXES:
            paths.append(path)
    return paths


def _class_problems(folder: Path, images: ImagesBySplit) -> list[str]:
    classes = dict.fromkeys(name for by_class in images.values() for name in by_class)
    if len(classes) < 2:
        return [
            f"dataset.folder: expected a folder of images for each of at least 2 classes in "
            f"{folder}, found {', '.join(classes) or 'none'}; correct params.yaml, or `dvc pull` "
            "if the images are tracked"
        ]
    return [
        f"{folder}: class {name!r} has no photo in {split}; add some ({', '.join(FORMATS)}) or "
        "delete it"
        for name in classes
        for split, by_class in images.items()
        if not by_class.get(name)
    ]
