"""Timing of commands and trainings, and rows of ratios."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

OURS = Path(__file__).parent / "ours.py"


def header(unit: str) -> str:
    """The head of a table of `row`s, whose figures are in `unit`."""
    return f"| measured | {unit} | compared with, {unit} | ratio |\n| --- | ---: | ---: | ---: |"


def seconds(folder: Path, *command: str) -> float:
    """Wall time of `python COMMAND` in `folder`; raises CalledProcessError when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    started = time.monotonic()
    subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - started


def epoch_seconds(
    variant: str, images: int, epochs: int, *changes: str, threads: int | None = None
) -> float:
    """Median seconds of the later epochs of one training on noise, of whole images in every epoch.

    `changes` are settings as ours.py takes them.
    """
    command = [sys.executable, str(OURS), variant, str(images), str(epochs)]
    done = subprocess.run(
        [*command, "progressive_resizing={}", *changes],
        stdout=subprocess.PIPE,
        env={**os.environ, **({"THREADS": str(threads)} if threads else {})},
        check=True,
    )
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[1:])


def row(name: str, ours: Sequence[float], other: Sequence[float]) -> str:
    """A table row: both medians, in the table's unit, and the median of the rounds' ratios.

    A round measures the two in turns, so that a noisy machine disturbs both alike.
    """
    ratio = statistics.median(a / b for a, b in zip(ours, other, strict=True))
    first, second = statistics.median(ours), statistics.median(other)
    return f"| {name} | {first:.2f} | {second:.2f} | {ratio:.2f} |"
