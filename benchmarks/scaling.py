"""How the time of an epoch grows with images, widths and cores, so that a user can tell their own.

Each row compares with the one before it: a ratio below that of the images means that what an epoch
costs beside its images is spread thinner.
"""

from collections.abc import Callable
from functools import partial

from timing import epoch, row

ROUNDS, EPOCHS = 2, 2
SHARES = (10, 30, 100)  # per cent of the training images
WIDTHS = {
    "final": ("[8, 16, 32, 64, 128]", "[16, 32, 64, 128, 256]", "[32, 64, 128, 256, 512]"),
    "sprint": ("[32, 64, 64]", "[64, 128, 128]", "[128, 256, 256]"),
}
# Enough for the widest network to take some seconds.
IMAGES = {"final": 4_500, "sprint": 4_000}
SHARED_OUT = {"final": 4_500, "best": 2_000}
# Each batch in more parts than cores : in as many.
PARTS = {
    "final": (
        "quarters of a batch : halves",
        ("micro_batch_size=8", "micro_batches_at_once=4"),
        ("micro_batch_size=16", "micro_batches_at_once=2"),
    ),
    "best": (
        "8 micro-batches at once : 2",
        ("micro_batches_at_once=8",),
        ("micro_batches_at_once=2",),
    ),
}
FULL = {"final": 45_000, "sprint": 50_000}


def core_rows() -> list[str]:
    """The table's rows for threads and the parts of a batch."""
    lines = []
    for variant, images in SHARED_OUT.items():
        one, two, eight = _in_turns(
            *(partial(epoch, variant, images, EPOCHS, threads=n) for n in (1, 2, 8))
        )
        lines.append(row(f"`{variant}`, 2 threads : 1", two, one))
        lines.append(row(f"`{variant}`, 8 threads on 2 cores : 2", eight, two))
    for variant, (name, *ways) in PARTS.items():
        train = partial(epoch, variant, SHARED_OUT[variant], EPOCHS)
        cut, less = _in_turns(*(partial(train, *way) for way in ways))
        lines.append(row(f"`{variant}`, {name}", cut, less))
    return lines


def rows() -> list[str]:
    """The table's rows for images and widths; what they compare is measured in turns."""
    lines = []
    for variant, full in FULL.items():
        shares = _in_turns(
            *(partial(epoch, variant, full * share // 100, EPOCHS) for share in SHARES)
        )
        for number in range(1, len(SHARES)):
            name = f"`{variant}`, {SHARES[number]} % of the images : {SHARES[number - 1]} %"
            lines.append(row(name, shares[number], shares[number - 1]))
    for variant, choices in WIDTHS.items():
        train = partial(epoch, variant, IMAGES[variant], EPOCHS)
        times = _in_turns(*(partial(train, f"widths={widths}") for widths in choices))
        for number in range(1, len(choices)):
            name = f"`{variant}`, widths {choices[number]} : {choices[number - 1]}"
            lines.append(row(name, times[number], times[number - 1]))
    return lines


def _in_turns(*ways: Callable[[], float]) -> list[tuple[float, ...]]:
    """What each of the ways gave, ROUNDS times."""
    return list(zip(*([way() for way in ways] for _ in range(ROUNDS)), strict=True))
