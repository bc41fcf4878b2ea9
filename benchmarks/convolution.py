"""What Winograd's convolutions gain: a training with them against one with Keras's own.

Images are noise and whole, in every epoch.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from timing import row

FOLDER = Path(__file__).parent
ROUNDS, EPOCHS, IMAGES = 2, 3, 4_000
VARIANTS = ("sprint", "fast", "best")


def epoch(variant: str, *changes: str) -> float:
    """Median seconds of the later epochs of one training."""
    command = [sys.executable, str(FOLDER / "ours.py"), variant, str(IMAGES), str(EPOCHS)]
    done = subprocess.run([*command, "growth={}", *changes], stdout=subprocess.PIPE, check=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[1:])


def rows() -> list[str]:
    """The table's rows; a round measures the two in turns."""
    lines = []
    for variant in VARIANTS:
        rounds = [(epoch(variant), epoch(variant, "convolutions=keras")) for _ in range(ROUNDS)]
        name = f"an epoch of `{variant}` : by Keras's convolutions"
        lines.append(row(name, *zip(*rounds, strict=True)))
    return lines
