"""Stands in for pipeline/__main__.py in tests of verify: results in the real formats, at once.

As on a real machine, they depend on more than the project: STUB_DRIFT is added to the metrics,
STUB_FAILS names a stage that fails, STUB_HANGS one that never ends, STUB_OMITS an output that
evaluate does not write.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from pipeline.core import files, paths
from pipeline.tools import environment, processes
from pipeline.training.history import METRICS, history_csv

DRIFT = float(os.environ.get("STUB_DRIFT", "0"))


def fetch() -> None:
    if not Path("data/raw").exists():
        print("stub fetch downloads")
        files.write_text(Path("data/raw/data_batch_1.bin"), "pixels")


def preprocess() -> None:
    print("photos:", *Path("data/photos").glob("*"))
    seed = yaml.safe_load(Path("params.yaml").read_text())["dataset"]["seed"]
    for name in ("train", "validation", "test"):
        files.write_text(paths.split(name), f"{name} {seed}")
    files.write_text(paths.CLASS_NAMES, "cat\ndog")
    environment.record("preprocess", 1.0)


def train(variant: str) -> None:
    files.write_text(paths.model(variant), f"weights {variant} {DRIFT}")
    files.write_text(paths.history(variant), history_csv({name: [DRIFT] for name in METRICS}))
    environment.record(f"train@{variant}", 2.0)


def evaluate(variant: str) -> None:
    metrics = {"accuracy": 0.5 + DRIFT, "loss": 1.0 - DRIFT, "macro_f1": 0.5, "parameters": 10}
    files.write_json(paths.metrics(variant), metrics)
    for output in (paths.predictions, paths.tflite, paths.classes):
        if output.__name__ != os.environ.get("STUB_OMITS"):
            files.write_text(output(variant), f"{output.__name__} {variant}")


def main(stage: str, *arguments: str) -> None:
    processes.watch_parent()
    print(f"stub {stage} {' '.join(arguments)}", flush=True)
    if stage == os.environ.get("STUB_FAILS"):
        sys.exit("stub: out of memory")
    if stage == os.environ.get("STUB_HANGS"):
        time.sleep(3600)
    work: dict[str, Callable[..., None]] = {
        "fetch": fetch,
        "preprocess": preprocess,
        "train": train,
        "evaluate": evaluate,
    }
    work[stage](*arguments)


main(*sys.argv[1:])
