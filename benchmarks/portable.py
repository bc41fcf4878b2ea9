"""What bits that travel cost in speed: `python benchmarks/portable.py` (a quarter of an hour).

Needs an idle machine of at least two cores, and no data. Trains the study's networks on noise with
the committed instruction set and thread count and with faster but less portable ones, in turns, and
each twice at once in the committed way against one after the other with both cores. What counts is
all epochs but the first, in which TensorFlow builds its graphs.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import HEADER, row

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import config, runtime, settings

NETWORKS = ("baseline", "improved", "deep", "final")
IMAGES, EPOCHS, ROUNDS = 4_096, 3, 5
COMMITTED = config.section(config.read(), "runtime", runtime.Runtime)
OURS = (COMMITTED.cpu_isa, COMMITTED.threads)
OTHERS = (("AVX2", 2), ("DEFAULT", 1), ("DEFAULT", 2))


def measure(cpu_isa: str, threads: int) -> dict[str, float]:
    """Seconds of the later epochs of each network, in this process."""
    params = config.read()
    params["runtime"] |= {"cpu_isa": cpu_isa, "threads": threads}
    limits = config.section(params, "runtime", runtime.Runtime)
    runtime.start(limits)
    generator = np.random.default_rng(0)
    images = generator.random((IMAGES, 32, 32, 3), np.float32)
    labels = np.eye(10, dtype=np.float32)[generator.integers(10, size=IMAGES)]
    return {
        name: _later_epochs(params, name, images, labels, limits.inference_batch_size)
        for name in NETWORKS
    }


def _later_epochs(
    params: dict[str, Any], name: str, images: np.ndarray, labels: np.ndarray, batch_size: int
) -> float:
    from pipeline import fit  # imports TensorFlow, which must be started first

    variant = settings.variant(params, name)
    recipe = settings.recipe(params, variant.recipe).model_copy(update={"epochs": EPOCHS})
    few = images[:500], labels[:500]
    ends: list[float] = []
    fit.fit(
        *(name, variant, recipe, (images, labels), few, batch_size, None),
        save=lambda _: ends.append(time.monotonic()),
    )
    return ends[-1] - ends[0]


def at_once(key: tuple[str, int], count: int) -> dict[str, float]:
    """The slowest of `count` processes that measure `key` at the same time, by network."""
    command = [sys.executable, __file__, *map(str, key)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return {name: max(seconds[name] for seconds in found) for name in NETWORKS}


def main() -> None:
    alone: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in (OURS, *OTHERS)}
    pairs = []
    for _ in range(ROUNDS):
        for key, found in alone.items():
            found.append(at_once(key, 1))
        pairs.append(at_once(OURS, 2))
    print(HEADER)
    for name in NETWORKS:
        ours = [found[name] for found in alone[OURS]]
        for key in OTHERS:
            what = f"`{name}`, {_named(OURS)} : {_named(key)}"
            print(row(what, ours, [found[name] for found in alone[key]]))
    for name in NETWORKS:
        other = OTHERS[-1]
        print(
            row(
                f"`{name}` twice, {_named(OURS)}, at once : {_named(other)}, in turn",
                [found[name] for found in pairs],
                [2 * found[name] for found in alone[other]],
            )
        )


def _named(key: tuple[str, int]) -> str:
    return f"{key[0]} and {key[1]} thread{'s' if key[1] > 1 else ''}"


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
