"""A folder of photos as images of one size, in the splits that it has or that are drawn."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.data.settings import Photos
from pipeline.photos import files
from pipeline.preprocess import division, folders
from pipeline.preprocess.parts import Part, Parts

LINES = 5  # of progress, where it goes into a log


def parts(settings: Photos) -> Parts:
    """The parts of the folder of `settings`.

    Raises PipelineError with a line for each photo that cannot be read, all of them, and for each
    class of which a split has no photo.
    """
    found = folders.find(Path(settings.folder))
    classes = tuple(found["train"])
    files = [
        (split, label, path)
        for split, photos in found.items()
        for label, name in enumerate(classes)
        for path in photos[name]
    ]
    given, labels = [split for split, *_ in files], np.array([label for _, label, _ in files])
    images, drawn = _read([path for *_, path in files], settings)
    missing = set(splits.NAMES) - set(found)
    members = division.divided(given, drawn, settings, missing=missing)
    if settings.duplicates == "drop":
        members = division.without_copies(members, images)
        dropped = np.count_nonzero(members == division.DROPPED)
        print(f"preprocess: {dropped:,} photos dropped, as a split to measure by has them as well")
    division.expect_all(members, labels, classes, settings.folder)
    return Parts(
        classes,
        {
            name: Part(images, labels, np.flatnonzero(members == place))
            for place, name in enumerate(splits.NAMES)
        },
    )


def _read(paths: Sequence[Path], settings: Photos) -> tuple[np.ndarray, np.ndarray]:
    """The photos uint8 (N, S, S, 3), and what division.draw gives for each, float64 (N,)."""
    images = np.empty((len(paths), settings.side, settings.side, 3), np.uint8)
    drawn = np.empty(len(paths))

    def one(index: int) -> str | None:
        path = paths[index]
        try:
            pixels = files.read(path, side=settings.side, framing=settings.framing)
        except PipelineError as error:
            return str(error)
        images[index] = np.rint(pixels * 255)  # of deeper grey, 8 bits are kept
        drawn[index] = division.draw(path.read_bytes(), settings.seed)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = _shown(pool.map(one, range(len(paths))), len(paths))
        problems = [problem for problem in results if problem is not None]
    if problems:
        raise PipelineError("\n".join(problems))
    return images, drawn


def _shown(results: Iterable[str | None], count: int) -> Iterator[str | None]:
    """The `results` of so many photos as they come: a bar on a terminal, a few lines in a log."""
    bar = tqdm(
        results,
        total=count,
        desc="preprocess",
        unit="photo",
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    )
    for number, result in enumerate(bar, 1):
        if bar.disable and number * LINES // count > (number - 1) * LINES // count:
            print(f"preprocess: {number:,} of {count:,} photos read", flush=True)
        yield result
