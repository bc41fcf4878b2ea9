"""How the benchmarks time commands and print ratios."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


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


def row(name: str, ours: Sequence[float], other: Sequence[float]) -> str:
    """A table row: both medians, in the table's unit, and the median of the rounds' ratios.

    A round measures the two in turns, so that a noisy machine disturbs both alike.
    """
    ratio = statistics.median(a / b for a, b in zip(ours, other, strict=True))
    first, second = statistics.median(ours), statistics.median(other)
    return f"| {name} | {first:.2f} | {second:.2f} | {ratio:.2f} |"
