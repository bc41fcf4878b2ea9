"""What DVC adds and what running side by side saves: `python benchmarks/scheduling.py`.

Prints a Markdown table of ratios, each of two things measured in turns in this one run, so that a
noisy machine disturbs both alike. Needs an idle machine and takes about five minutes; works in a
temporary copy of the project, which must have data/raw and a finished run.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import config, quick

PROJECT = Path(__file__).parent.parent
IMAGES, EPOCHS, ROUNDS = 10_000, 2, 3
PAIR = ("train@deep", "train@final")  # the two longest trainings


def seconds(folder: Path, *command: str) -> float:
    """Wall time of `python -m COMMAND` in `folder`; raises CalledProcessError when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - started


def row(name: str, ours: Sequence[float], other: Sequence[float]) -> str:
    """A table row: both medians in seconds and the median of the rounds' ratios."""
    ratio = statistics.median(a / b for a, b in zip(ours, other, strict=True))
    first, second = statistics.median(ours), statistics.median(other)
    return f"| {name} | {first:.2f} | {second:.2f} | {ratio:.2f} |"


def set_seed(folder: Path, seed: int) -> None:
    """Another seed, so that DVC can take no training from its run cache."""
    params = config.read(folder / config.PARAMS_FILE)
    params["preprocess"] |= {"train_images": IMAGES}
    params["recipes"]["study"] |= {"seed": seed, "epochs": EPOCHS}
    (folder / config.PARAMS_FILE).write_text(yaml.safe_dump(params, sort_keys=False))


def main() -> None:
    print("| measured | seconds | compared with, seconds | ratio |\n| --- | ---: | ---: | ---: |")
    repro, status = [], []
    for _ in range(2 * ROUNDS):
        status.append(seconds(PROJECT, "dvc", "status", "--quiet"))
        repro.append(seconds(PROJECT, "dvc", "repro", "--quiet"))
    print(row("`dvc repro` with nothing to do : `dvc status`", repro, status))
    plan = [seconds(PROJECT, "pipeline.plan") for _ in status]
    print(row("`make plan` with nothing to do : `dvc status`", plan, status), flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "project")
        quick.prepare(folder, project=PROJECT)
        set_seed(folder, 0)
        seconds(folder, "dvc", "repro", "--quiet", "preprocess")
        together, alone = [], []
        for number in range(1, ROUNDS + 1):
            set_seed(folder, 2 * number)
            alone.append(seconds(folder, "pipeline.parallel", "--jobs", "1", *PAIR))
            set_seed(folder, 2 * number + 1)
            together.append(seconds(folder, "pipeline.parallel", "--jobs", "2", *PAIR))
        print(row(f"{' and '.join(PAIR)}, `JOBS=2` : `JOBS=1`", together, alone))


if __name__ == "__main__":
    main()
