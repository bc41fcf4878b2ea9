"""What Winograd's convolutions gain: a training with them against one with Keras's own.

Images are noise and whole, in every epoch.
"""

from functools import partial

from timing import epoch, row

ROUNDS, EPOCHS, IMAGES = 2, 3, 4_000
VARIANTS = ("sprint", "fast", "best")


def rows() -> list[str]:
    """The table's rows; a round measures the two in turns."""
    lines = []
    for variant in VARIANTS:
        train = partial(epoch, variant, IMAGES, EPOCHS)
        rounds = [(train(), train("convolutions=keras")) for _ in range(ROUNDS)]
        name = f"an epoch of `{variant}` : by Keras's convolutions"
        lines.append(row(name, *zip(*rounds, strict=True)))
    return lines
