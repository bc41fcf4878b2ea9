"""Images of a folder, and an image file as a square RGB array, the same for training and predict.

A folder has class folders, or split folders, named as in Hugging Face's `imagefolder`, with class
folders in each. Files count as images by their suffix. Hidden files and `name~` never do:
.dvcignore keeps DVC from tracking them.

Colour profiles are not applied. Transparent pixels are laid over white. Of an animation the first
frame is taken. The EXIF orientation is applied, as browsers do. Resampling is Pillow's Lanczos
filter, whose support grows with the reduction, so nothing aliases (Parmar et al., On Aliased
Resizing, CVPR 2022). The aspect ratio is kept.
"""

import contextlib
import io
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.core.errors import PipelineError
from pipeline.datasets.config import CropMode

# Pillow's names of the formats that are read. None of them starts another program, as EPS does.
# TIFF is left out: Pillow decodes some of 16 bits a channel wrongly, and the preview of raw files.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "WEBP")
RESAMPLING = Image.Resampling.LANCZOS

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


def load_image(
    source: str | os.PathLike[str] | BinaryIO, *, side: int, crop_mode: CropMode
) -> np.ndarray:
    """The image in a file, by path or open for binary reading, as float32 (S, S, 3) in [0, 1].

    Raises PipelineError with one line that names the file when it is missing, damaged or no image.
    """
    if isinstance(source, (str, os.PathLike)):
        name, read = str(source), Path(source).read_bytes
    else:
        name, read = str(getattr(source, "name", "image")), source.read
    try:
        return _decode(read(), side, crop_mode)
    except UnidentifiedImageError:
        problem = f"expected an image ({', '.join(FORMATS)}), found other content"
    except Exception as error:  # Pillow raises anything at damaged files, even IndexError
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        problem = f"cannot read this image: {reason}"
    # Raised outside of `except`, as the traceback kept there holds the pixels in memory.
    raise PipelineError(f"{printable(name)}: {problem}; check or replace the file")


def image_to_array(image: Image.Image, *, side: int, crop_mode: CropMode) -> np.ndarray:
    """A Pillow image as float32 (S, S, 3) in [0, 1]; the image is changed.

    Raises ValueError for more than 8 bits a channel, and what Pillow raises at damaged files.
    """
    # Pillow's modes I and F are grey of 16 or 32 bits, which conversion to RGB clips.
    if image.mode[0] in "IF":
        raise ValueError("expected at most 8 bits a channel, found more; convert it to 8 bits")
    image.load()
    with contextlib.suppress(Exception):  # Pillow raises anything at damaged EXIF data
        ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    square = to_square(image.convert("RGB"), side, crop_mode)
    return np.asarray(square).astype(np.float32) / 255


def printable(name: str) -> str:
    """`name` on one line, control characters escaped: a file name may hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def to_square(image: Image.Image, side: int, crop_mode: CropMode) -> Image.Image:
    """The centre square of an RGB image, or the whole image in the middle of a white square."""
    if crop_mode == "centre":
        return ImageOps.fit(image, (side, side), RESAMPLING)
    longest = max(image.size)
    # Halves are rounded up as in JavaScript, so that the page resizes to the same shape.
    width, height = (max(1, int(length * side / longest + 0.5)) for length in image.size)
    square = Image.new("RGB", (side, side), "white")
    corner = ((side - width) // 2, (side - height) // 2)
    square.paste(image.resize((width, height), RESAMPLING), corner)
    return square


def _decode(content: bytes, side: int, crop_mode: CropMode) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.format == "PNG":  # decoding does not check all checksums
            with Image.open(io.BytesIO(content), formats=FORMATS) as unverified:
                unverified.verify()
        if image.format in ("JPEG", "MPO"):  # libjpeg repairs damaged ones, and Pillow is silent
            space = "CMYK" if image.mode == "CMYK" else "GRAY"
            simplejpeg.decode_jpeg(content, space, min_height=1, min_width=1, min_factor=8)
        if image.format in ("AVIF", "WEBP") and content.endswith(bytes(64)):  # has no checksum
            raise ValueError("its last part is zeros, so it was not copied whole")
        # libjpeg decodes at a half to an eighth of the size: 0.03 s instead of 0.2 s for 12
        # megapixels. Four times the target leaves the resampling filter its work.
        image.draft(None, (4 * side, 4 * side))
        return image_to_array(image, side=side, crop_mode=crop_mode)
