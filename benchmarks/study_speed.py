"""How fast the study's four networks train, here and as the notebook and PyTorch train them.

Noise for images; what counts is every epoch but the first, in which graphs are built. One after
another, each network has the machine to itself; at once, two processes share the four out.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from timing import row

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.tools import environment

FOLDER = Path(__file__).parent
NETWORKS = ("baseline", "improved", "deep", "final")
# The longer queue decides.
QUEUES = (("deep", "baseline"), ("final", "improved"))
IMAGES, EPOCHS, ROUNDS = 6_000, 3, 2
FLOOR_IMAGES = 2_000
TIMED = "onednn_verbose,v1,primitive,exec,"
WIDEST = "cpu_isa=AVX512_CORE"
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
BFLOAT16 = ("precision=bfloat16", "cpu_isa=AVX512_CORE_BF16")

Rounds = list[dict[str, float]]  # by network, seconds of an epoch


def epoch(script: str, network: str, images: int, *changes: str) -> float:
    """Median seconds of the later epochs of one training by `benchmarks/SCRIPT.py`."""
    command = [sys.executable, str(FOLDER / f"{script}.py"), network, str(images), str(EPOCHS)]
    done = subprocess.run([*command, *changes], stdout=subprocess.PIPE, check=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[1:])


def operations(network: str) -> float:
    """Seconds of an epoch if oneDNN's operations were all there is and kept both cores busy.

    oneDNN times each of them itself, convolutions, poolings and matrix products; in whole batches,
    on one thread, where they take the least.
    """
    command = [sys.executable, str(FOLDER / "ours.py"), network, str(FLOOR_IMAGES), "1"]
    done = subprocess.run(
        [*command, "micro_batch_size=32", "micro_batches_at_once=1"],
        env={**os.environ, "ONEDNN_VERBOSE": "profile_exec"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    timed = [line for line in done.stdout.splitlines() if line.startswith(TIMED)]
    assert timed, "expected oneDNN's timings, found none: are its lines of another format?"
    milliseconds = sum(float(line.rpartition(",")[2]) for line in timed)
    return milliseconds / 1000 * IMAGES / FLOOR_IMAGES / 2


def in_turn(script: str, *changes: str) -> dict[str, float]:
    """Seconds of an epoch of each network, one after another."""
    return {name: epoch(script, name, IMAGES, *changes) for name in NETWORKS}


def at_once(*changes: str) -> float:
    """Seconds until two processes have trained the four for an epoch."""

    def queue(names: Sequence[str]) -> float:
        return sum(epoch("ours", name, IMAGES, *changes) for name in names)

    with ThreadPoolExecutor(len(QUEUES)) as pool:
        return max(pool.map(queue, QUEUES))


def beside_notebook() -> dict[str, Rounds]:
    """The notebook's way and ours, in turns, ROUNDS times."""
    rounds = [(in_turn("notebook"), in_turn("ours")) for _ in range(ROUNDS)]
    notebook, ours = zip(*rounds, strict=True)
    return {"notebook": list(notebook), "ours": list(ours)}


def notebook_rows(found: dict[str, Rounds]) -> list[str]:
    """The table's rows of what `beside_notebook` found, or of all that was `measured`."""
    notebook, ours = found["notebook"], found["ours"]
    lines = [
        row(f"an epoch of `{name}` : as the notebook", _of(ours, name), _of(notebook, name))
        for name in NETWORKS
    ]
    name = "the four, one after another : as the notebook"
    return [*lines, row(name, _four(ours), _four(notebook))]


def measured() -> dict[str, Rounds]:
    """Every way of training the four, in turns, ROUNDS times, so that noise hits them alike.

    Two at once is a single figure, under the name `four`.
    """
    found: dict[str, Rounds] = {}

    def keep(way: str, seconds: dict[str, float]) -> None:
        found.setdefault(way, []).append(seconds)

    for _ in range(ROUNDS):
        keep("notebook", in_turn("notebook"))
        keep("ours", in_turn("ours"))
        keep("ours at once", {"four": at_once()})
        keep("operations", {name: operations(name) for name in NETWORKS})
        keep("widest", in_turn("ours", WIDEST))
        keep("widest at once", {"four": at_once(WIDEST)})
        if environment.cpu_flags() & BFLOAT16_FLAGS:
            keep("bfloat16 at once", {"four": at_once(*BFLOAT16)})
        if _has_torch():
            keep("peer", in_turn("peer"))
    return found


def rows(found: dict[str, Rounds]) -> list[str]:
    """The table's rows of what was `measured`."""
    lines, notebook = notebook_rows(found), found["notebook"]
    for name, way in (
        ("the four, two at once", "ours at once"),
        ("oneDNN's operations alone, on both cores", "operations"),
        ("the same with AVX-512, one after another", "widest"),
        ("the same with AVX-512, two at once", "widest at once"),
        ("the same in bfloat16, two at once", "bfloat16 at once"),
    ):
        if way not in found:
            lines.append(f"| {name} | not measured: needs AVX512_BF16 or AMX | | |")
            continue
        lines.append(row(f"{name} : as the notebook", _four(found[way]), _four(notebook)))
    if "peer" not in found:
        return [*lines, "| the four : PyTorch | not measured: `pip install torch` | | |"]
    for name, way in (("one after another", "ours"), ("two at once", "ours at once")):
        lines.append(row(f"the four, {name} : PyTorch", _four(found[way]), _four(found["peer"])))
    return lines


def notebook_seconds(found: dict[str, Rounds]) -> dict[str, float]:
    """Seconds of an epoch of 50,000 images, as the notebook trains, by network."""
    scale = 50_000 / IMAGES
    return {
        name: round(scale * statistics.median(_of(found["notebook"], name)), 2) for name in NETWORKS
    }


def _four(found: Rounds) -> list[float]:
    return [sum(one.values()) for one in found]


def _of(found: Rounds, name: str) -> list[float]:
    return [one[name] for one in found]


def _has_torch() -> bool:
    command = [sys.executable, "-c", "import torch"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
