"""The images of a folder: by class folder, or by split folder and class folder.

The names of split folders are those of Hugging Face's `imagefolder`. Files count as images by their
suffix. Hidden files and `name~` never do: .dvcignore keeps DVC from tracking them.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.datasets.image_loading import FORMATS, printable

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

    All splits have the same classes. Prints how many files are images, and how many not.
    PipelineError with a line for each class that has no image in a split.
    """
    paths, passed_over = _walk(folder)
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
        elif not path.is_dir():  # beside the folders
            passed_over.append(path)
    images = {
        split: dict(sorted(by_class.items()))
        for split, by_class in by_split.items()
        if by_class or split == "train"
    }
    if problems := _class_problems(folder, images):
        raise PipelineError("\n".join(problems))
    count = sum(len(own) for by_class in images.values() for own in by_class.values())
    first = f", the first {printable(str(passed_over[0]))}" if passed_over else ""
    print(f"{folder}: {count:,} photos; passed over {len(passed_over):,} other files{first}")
    return images


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and images below `folder`, and the other files, sorted by the parts of paths."""
    paths: list[Path] = []
    passed_over: list[Path] = []
    problems: dict[Path, str] = {}
    for path in sorted(folder.rglob("*")):
        parts, is_folder = path.relative_to(folder).parts, path.is_dir()
        if any(part.startswith(".") or part.lower() in IGNORED_FOLDERS for part in parts):
            passed_over += [] if is_folder else [path]
        elif is_folder and path.is_symlink():
            problems[path] = "a link to a folder, which DVC does not track; replace it by a copy"
        elif is_folder and not os.access(path, os.R_OK | os.X_OK):
            problems[path] = "a folder that may not be read; change its permissions, or move it"
        elif re.search("[\n\r\udc80-\udcff]", path.name):  # the latter for other bytes
            problems[path] = "a name that is not one line of UTF-8; rename it"
        else:
            (paths if is_folder or path.suffix.lower() in SUFFIXES else passed_over).append(path)
    if problems:
        lines = (f"{printable(str(path))}: found {problem}" for path, problem in problems.items())
        raise PipelineError("\n".join(lines))
    return paths, passed_over


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
