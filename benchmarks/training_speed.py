"""Seconds of a training epoch: beside the notebook's, and by precision, convolution and threads.

Images are noise. The median of all epochs but the first counts, in which graphs are built.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from timing import epoch_seconds, row

FOLDER = Path(__file__).parent
ROUNDS = 2

# The study's networks; two processes share them out so that each takes about as long.
NETWORKS = ("baseline", "improved", "deep", "final")
QUEUES = (("deep", "baseline"), ("final", "improved"))
STUDY_IMAGES, STUDY_EPOCHS, ONEDNN_IMAGES = 6_000, 3, 2_000
ONEDNN_LINE = "onednn_verbose,v1,primitive,exec,"

PRECISION_IMAGES = {"deep": 6_000, "fast": 2_000}  # a variant of each network
REFERENCE = ("float32", "AVX2")
PRECISIONS = {  # with the name of the instructions in /proc/cpuinfo
    ("float32", "AVX512_CORE"): "avx512bw",
    ("bfloat16", "AVX512_CORE"): "avx512bw",
    ("bfloat16", "AVX512_CORE_BF16"): "avx512_bf16",
    ("bfloat16", "DEFAULT"): "amx_bf16",
}
CONVOLUTION_VARIANTS, CONVOLUTION_IMAGES = ("sprint", "fast", "best"), 4_000

THREAD_IMAGES = {"final": 4_500, "best": 2_000}
SPLITS = {
    "final": (
        "quarters of a batch : halves",
        ("micro_batch_size=8", "parallel_micro_batches=4"),
        ("micro_batch_size=16", "parallel_micro_batches=2"),
    ),
    "best": (
        "8 micro-batches at once : 2",
        ("parallel_micro_batches=8",),
        ("parallel_micro_batches=2",),
    ),
}

Rounds = list[dict[str, float]]  # by network, seconds of an epoch


def study_epoch(script: str, network: str, *settings: str) -> float:
    """Median seconds of an epoch of the study's `network` by `benchmarks/SCRIPT.py`."""
    command = [str(FOLDER / f"{script}.py"), network, str(STUDY_IMAGES), str(STUDY_EPOCHS)]
    done = subprocess.run([sys.executable, *command, *settings], stdout=subprocess.PIPE, check=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[1:])


def in_sequence(script: str) -> dict[str, float]:
    """Seconds of an epoch of each of the study's networks, one after another."""
    return {name: study_epoch(script, name) for name in NETWORKS}


def two_at_once() -> dict[str, float]:
    """Seconds until two processes have trained the study's networks for an epoch."""

    def queue(names: Sequence[str]) -> float:
        return sum(study_epoch("ours", name) for name in names)

    with ThreadPoolExecutor(len(QUEUES)) as pool:
        return {"four": max(pool.map(queue, QUEUES))}


def onednn_seconds(network: str) -> float:
    """Seconds of an epoch of oneDNN's operations alone, spread over both cores.

    oneDNN's profile times each operation, of whole batches on one thread, where they take least.
    """
    command = [str(FOLDER / "ours.py"), network, str(ONEDNN_IMAGES), "1"]
    done = subprocess.run(
        [sys.executable, *command, "micro_batch_size=32", "parallel_micro_batches=1"],
        env={**os.environ, "ONEDNN_VERBOSE": "profile_exec"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    profile = [line for line in done.stdout.splitlines() if line.startswith(ONEDNN_LINE)]
    assert profile, "expected oneDNN's profile, found none: has its format changed?"
    milliseconds = sum(float(line.rpartition(",")[2]) for line in profile)
    return milliseconds / 1000 * STUDY_IMAGES / ONEDNN_IMAGES / 2


def measure_study() -> dict[str, Rounds]:
    """The study's networks by the notebook's code, ours and oneDNN's operations alone, in turns."""
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "notebook": partial(in_sequence, "notebook"),
        "ours": partial(in_sequence, "ours"),
        "two at once": two_at_once,
        "onednn": lambda: {name: onednn_seconds(name) for name in NETWORKS},
    }
    rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    return {name: [one[name] for one in rounds] for name in ways}


def study_rows(seconds: dict[str, Rounds]) -> list[str]:
    """Each of the study's networks beside the notebook, and all four in several ways."""
    notebook, ours = seconds["notebook"], seconds["ours"]
    lines = [
        row(
            f"an epoch of `{name}` : as the notebook",
            [one[name] for one in ours],
            [one[name] for one in notebook],
        )
        for name in NETWORKS
    ]
    for name, way in (
        ("the four, one after another", "ours"),
        ("the four, two at once", "two at once"),
        ("oneDNN's operations alone, on both cores", "onednn"),
    ):
        lines.append(row(f"{name} : as the notebook", _totals(seconds[way]), _totals(notebook)))
    return lines


def notebook_seconds(seconds: dict[str, Rounds]) -> dict[str, float]:
    """Seconds of an epoch of 50,000 images as the notebook trains, by network."""
    scale = 50_000 / STUDY_IMAGES
    return {
        name: round(scale * statistics.median(one[name] for one in seconds["notebook"]), 2)
        for name in NETWORKS
    }


def precision_rows() -> list[str]:
    """Precisions and instruction sets that the processor has, beside float32 by AVX2."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()  # Linux has it
    supported = [setting for setting, flag in PRECISIONS.items() if flag in cpu_info]
    lines = []
    for variant, images in PRECISION_IMAGES.items():
        reference, *others = _in_turns(
            *(
                partial(
                    epoch_seconds, variant, images, 3, f"precision={precision}", f"cpu_isa={isa}"
                )
                for precision, isa in (REFERENCE, *supported)
            )
        )
        for setting, seconds in zip(supported, others, strict=True):
            name = f"`{variant}`, {' by '.join(setting)} : {' by '.join(REFERENCE)}"
            lines.append(row(name, seconds, reference))
    return lines


def convolution_rows() -> list[str]:
    """Winograd's convolutions beside Keras's."""
    lines = []
    for variant in CONVOLUTION_VARIANTS:
        train = partial(epoch_seconds, variant, CONVOLUTION_IMAGES, 3)
        seconds = _in_turns(train, partial(train, "convolutions=keras"))
        lines.append(row(f"an epoch of `{variant}` : by Keras's convolutions", *seconds))
    return lines


def core_rows() -> list[str]:
    """Threads, and the number of parts of a batch."""
    lines = []
    for variant, images in THREAD_IMAGES.items():
        train = partial(epoch_seconds, variant, images, 2)
        one, two, eight = _in_turns(*(partial(train, threads=n) for n in (1, 2, 8)))
        lines.append(row(f"`{variant}`, 2 threads : 1", two, one))
        lines.append(row(f"`{variant}`, 8 threads on 2 cores : 2", eight, two))
        name, *settings = SPLITS[variant]
        seconds = _in_turns(*(partial(train, *setting) for setting in settings))
        lines.append(row(f"`{variant}`, {name}", *seconds))
    return lines


def _in_turns(*ways: Callable[[], float]) -> list[tuple[float, ...]]:
    """The seconds of each way, measured in turns, ROUNDS times."""
    return list(zip(*([way() for way in ways] for _ in range(ROUNDS)), strict=True))


def _totals(rounds: Rounds) -> list[float]:
    return [sum(one.values()) for one in rounds]
