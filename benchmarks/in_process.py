"""Two times as JSON, of something the pipeline does and of the least it could do.

`python benchmarks/in_process.py load|preprocess|open|final|best`, in the project's top folder; the
last two predict by that variant.
"""

import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.base import params_file
from pipeline.data import settings, splits
from pipeline.evaluate import manner
from pipeline.predict.litert_model import LiteRTModel
from pipeline.predict.predictor import load_images
from pipeline.preprocess import stage as preprocess
from pipeline.report import places

IMAGES = 1_000


def load() -> tuple[float, float]:
    def bare() -> None:
        with np.load("data/processed/train.npz") as archive:
            for name in archive.files:
                archive[name]

    bare()  # so that both find the file in memory
    return _timed(lambda: splits.read("train")), _timed(bare)


def stage_preprocess() -> tuple[float, float]:
    project = Path.cwd()
    with tempfile.TemporaryDirectory(dir=project) as scratch:
        os.chdir(scratch)
        os.symlink(project / "params.yaml", "params.yaml")
        os.makedirs("data")
        os.symlink(project / "data/raw", "data/raw")
        ours = _timed(lambda: preprocess.main([]))
        os.sync()  # else writing the first bytes to disk disturbs writing the second
        arrays = {path: dict(np.load(path)) for path in map(splits.path, splits.NAMES)}

        def write() -> None:
            for path, content in arrays.items():
                np.savez(path.with_name(f"again-{path.name}"), **content)

        least = _timed(write)
        os.chdir(project)
    return ours, least


def opening() -> tuple[float, float]:
    def bare() -> None:
        for name in names:
            with Image.open(name) as image:
                np.asarray(image)

    with _files() as names:
        bare()  # so that both find the files in memory
        return _timed(lambda: _load(names)), _timed(bare)


def predict(variant: str) -> tuple[float, float]:
    params = params_file.read()
    size = params_file.section(params, "runtime", runtime.Runtime).inference_batch_size
    network = params_file.at(params, f"variants.{variant}.network")
    ask = functools.partial(
        LiteRTModel(places.litert(variant)).predict_logits,
        batch_size=size,
        inference_config=manner.read(params, variant, network),
    )
    with _files() as names:
        images = _load(names)
        ask(images)  # makes room, and finds what is in memory
        least = _timed(lambda: ask(images))
        return _timed(lambda: ask(_load(names))), least


PARTS: dict[str, Callable[[], tuple[float, float]]] = {
    "load": load,
    "preprocess": stage_preprocess,
    "open": opening,
    "final": functools.partial(predict, "final"),
    "best": functools.partial(predict, "best"),
}


def _load(names: list[str]) -> np.ndarray:
    dataset = settings.read(params_file.read())
    return load_images(names, side=dataset.side, crop_mode=dataset.framing)


@contextmanager
def _files() -> Iterator[list[str]]:
    """IMAGES PNG files of 32 by 32 pixels of noise."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        names = [str(Path(scratch, f"{number}.png")) for number in range(IMAGES)]
        for name in names:
            pixels = generator.integers(256, size=(32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(name)
        yield names


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]]()))
