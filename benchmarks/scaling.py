"""How the time of an epoch grows with images, cores and widths, so that a user can tell their own.

Each row compares with the one before it: a ratio below that of the images means that what an epoch
costs beside its images is spread thinner.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from timing import row

FOLDER = Path(__file__).parent
ROUNDS, EPOCHS = 2, 2
SHARES = (10, 30, 100)  # per cent of the training images
WIDTHS = {
    "final": ("[8, 16, 32, 64, 128]", "[16, 32, 64, 128, 256]", "[32, 64, 128, 256, 512]"),
    "sprint": ("[32, 64, 64]", "[64, 128, 128]", "[128, 256, 256]"),
}
# Enough for the widest network to take some seconds.
IMAGES = {"final": 4_500, "sprint": 4_000}
FULL = {"final": 45_000, "sprint": 50_000}


def epoch(variant: str, images: int, *changes: str, cores: int | None = None) -> float:
    """Median seconds of the later epochs of one training on images of 32 pixels."""
    command = [sys.executable, str(FOLDER / "ours.py"), variant, str(images), str(EPOCHS)]
    if variant == "sprint":
        changes = ("growth={}", *changes)
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [*command, *changes],
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[1:])


def rows() -> list[str]:
    """The table's rows for images, cores and widths."""
    lines = []
    for variant, full in FULL.items():
        shares = [[epoch(variant, full * share // 100) for _ in range(ROUNDS)] for share in SHARES]
        for number in range(1, len(SHARES)):
            name = f"`{variant}`, {SHARES[number]} % of the images : {SHARES[number - 1]} %"
            lines.append(row(name, shares[number], shares[number - 1]))
    for variant, images in IMAGES.items():
        cores = [[epoch(variant, images, cores=n) for _ in range(ROUNDS)] for n in (2, 1)]
        lines.append(row(f"`{variant}`, 2 cores : 1 core", *cores))
    for variant, choices in WIDTHS.items():
        times = [
            [epoch(variant, IMAGES[variant], f"widths={widths}") for _ in range(ROUNDS)]
            for widths in choices
        ]
        for number in range(1, len(choices)):
            name = f"`{variant}`, widths {choices[number]} : {choices[number - 1]}"
            lines.append(row(name, times[number], times[number - 1]))
    return lines
