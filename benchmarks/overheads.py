"""Costs of the pipeline beside its arithmetic, each beside the least that it could cost; memory.

`python benchmarks/overheads.py read|preprocess|VARIANT` times one of them in this process and
prints both seconds as JSON; VARIANT is a trained one that predicts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from timing import row, seconds

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.core import paths, splits
from pipeline.core.splits import read_split
from pipeline.datasets import preprocess
from pipeline.predict import load_images, load_predictor

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent
ROUNDS = 3
PHOTOS = 1_000
PREDICTORS = ("best", "final")  # the most accurate variant, and the study's
GIB = 2**20  # KiB, in which Linux reports peak memory
MEMORY_LIMIT = 4.0  # GiB


def time_reading() -> tuple[float, float]:
    """train.npz read and validated; its arrays by np.load."""

    def load() -> None:
        with np.load(paths.split("train")) as archive:
            for name in archive.files:
                archive[name]

    load()  # so that both find the file in the page cache
    return _timed(lambda: read_split("train")), _timed(load)


def time_preprocess() -> tuple[float, float]:
    """The stage preprocess; writing the same arrays by np.savez."""
    project = Path.cwd()
    with tempfile.TemporaryDirectory(dir=project) as scratch:
        os.chdir(scratch)
        os.symlink(project / "params.yaml", "params.yaml")
        os.makedirs("data")
        os.symlink(project / "data/raw", "data/raw")
        stage = _timed(lambda: preprocess.main([]))
        os.sync()  # else writing the first bytes to disk slows writing the second
        arrays = {path: dict(np.load(path)) for path in map(paths.split, splits.NAMES)}

        def write() -> None:
            for path, content in arrays.items():
                np.savez(path.with_name(f"again-{path.name}"), **content)

        least = _timed(write)
        os.chdir(project)
    return stage, least


def time_predict(variant: str) -> tuple[float, float]:
    """PHOTOS image files classified; the same by LiteRT alone, from their pixels."""
    predictor = load_predictor(variant=variant)
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        names = [str(Path(scratch, f"{number}.png")) for number in range(PHOTOS)]
        for name in names:
            pixels = generator.integers(256, size=(32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(name)
        images = load_images(names, side=predictor.model.side, crop_mode=predictor.crop_mode)
        logits = predictor.model.predict_logits
        compute = partial(logits, images, batch_size=predictor.batch_size)
        compute()  # allocates memory
        return _timed(lambda: predictor.predict(names)), _timed(compute)


def rows() -> list[str]:
    """The table of times; both sides of a row in turns, ROUNDS times."""
    few = ("baseline", "320", "1")
    lines = [
        _row(
            "start to end of a training of ten steps : as the notebook",
            lambda: seconds(PROJECT, str(FOLDER / "ours.py"), *few),
            lambda: seconds(PROJECT, str(FOLDER / "notebook.py"), *few),
        )
    ]
    for part, name in (
        ("read", "reading train.npz with its checks : `np.load` of its arrays"),
        ("preprocess", "preprocess, without Python's start : writing the same bytes"),
        *(
            (variant, f"predict by `{variant}` on 1,000 image files : LiteRT on their pixels")
            for variant in PREDICTORS
        ),
    ):
        lines.append(row(name, *zip(*(_in_process(part) for _ in range(ROUNDS)), strict=True)))
    status = partial(seconds, PROJECT, "-m", "dvc", "status", "--quiet")
    for name, command in (
        ("`dvc repro`", ("-m", "dvc", "repro", "--quiet")),
        ("`make plan`", ("-m", "pipeline.tools.plan")),
    ):
        text = f"{name} with nothing to do : `dvc status`"
        lines.append(_row(text, partial(seconds, PROJECT, *command), status))
    return lines


def memory_rows() -> list[str]:
    """Peak memory in GiB, beside the limit."""
    ours = str(FOLDER / "ours.py")
    best = (ours, "best", "50000", "1", "progressive_resizing={}")  # an epoch of whole images
    return [
        row(
            f"peak memory of {name} : {MEMORY_LIMIT:g} GiB",
            [_peak_memory(*command, threads=threads)],
            [MEMORY_LIMIT],
        )
        for name, command, threads in (
            ("preprocess", ("-m", "pipeline", "preprocess"), None),
            ("training `deep`", (ours, "deep", "45000", "1"), None),
            ("training `best` on two threads", best, 2),
            ("training `best` on eight threads", best, 8),
            ("predict on 1,000 images", (str(FOLDER / "overheads.py"), "best"), None),
        )
    ]


def _row(name: str, ours: Callable[[], float], other: Callable[[], float]) -> str:
    return row(name, *zip(*((ours(), other()) for _ in range(ROUNDS)), strict=True))


def _in_process(part: str) -> tuple[float, float]:
    command = [sys.executable, str(FOLDER / "overheads.py"), part]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    ours, least = json.loads(done.stdout.splitlines()[-1])
    return ours, least


def _peak_memory(*command: str, threads: int | None = None) -> float:
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **({"THREADS": str(threads)} if threads else {})},
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command} failed"
    return usage.ru_maxrss / GIB


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


if __name__ == "__main__":
    parts = {"read": time_reading, "preprocess": time_preprocess}
    print(json.dumps(parts.get(sys.argv[1], partial(time_predict, sys.argv[1]))()))
