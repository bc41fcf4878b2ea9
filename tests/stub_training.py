"""Stands in for pipeline/__main__.py in tests of verify: results in the real formats, at once.

As on a real machine, they depend on more than the project: STUB_DRIFT is added to every figure
from the third epoch on, after STUB_LASTING epochs a training goes on for ever, STUB_FAILS names a
stage that fails, STUB_OMITS an output that evaluate does not write.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from pipeline.base import files
from pipeline.data import classes
from pipeline.report import history, places
from pipeline.tools import environment, parent_watchdog
from pipeline.train import checkpoint

EPOCHS = 5
DRIFT = float(os.environ.get("STUB_DRIFT", "0"))


def fetch() -> None:
    if not Path("data/raw").exists():
        print("stub fetch downloads")
        files.write_text(Path("data/raw/data_batch_1.bin"), "pixels")


def preprocess() -> None:
    seed = yaml.safe_load(Path("params.yaml").read_text())["dataset"]["seed"]
    print("photos:", *Path("data/photos").glob("*"))
    for name in ("train", "validation", "test"):
        files.write_text(Path(f"data/processed/{name}.npz"), f"{name} {seed}")
    classes.write(("cat", "dog"))
    environment.record("preprocess", 1.0)


def trained_on(variant: str) -> str:
    params = yaml.safe_load(Path("params.yaml").read_text())
    name: str = params["recipes"][params["variants"][variant]["recipe"]]["train_on"]
    return name


def train(variant: str) -> None:
    figures: dict[str, list[float]] = {name: [] for name in history.FIGURES}
    lasting = os.environ.get("STUB_LASTING")
    if trained_on(variant) == "train_and_validation":
        del figures["val_accuracy"], figures["val_loss"]
    for epoch in range(int(lasting or EPOCHS)):
        for name, values in figures.items():
            values.append(0.3 + 0.1 * epoch + (DRIFT if epoch >= 2 else 0) + len(name) / 1000)
    arrays = {checkpoint.HISTORY + name: np.array(values) for name, values in figures.items()}
    files.write_arrays(checkpoint.path(variant), **arrays)
    if lasting:
        time.sleep(3600)
    files.write_text(places.model(variant), f"weights {variant} {DRIFT}")
    files.write_text(places.history(variant), history.table(figures))
    checkpoint.path(variant).unlink()
    environment.record(f"train@{variant}", 2.0)


def evaluate(variant: str) -> None:
    metrics = {"accuracy": 0.5 + DRIFT, "loss": 1.0 - DRIFT, "macro_f1": 0.5, "parameters": 10}
    files.write_json(places.metrics(variant), metrics)
    for place in (
        *(places.predictions, places.litert, places.classes, places.right, places.mistakes),
        *(places.examples, places.reliability),
    ):
        if place.__name__ != os.environ.get("STUB_OMITS"):
            files.write_text(place(variant), f"{place.__name__} {variant}")


def main(stage: str, *arguments: str) -> None:
    parent_watchdog.watch()
    print(f"stub {stage} {' '.join(arguments)}", flush=True)
    if stage == os.environ.get("STUB_FAILS"):
        sys.exit("stub: out of memory")
    work: dict[str, Callable[..., None]] = {
        "fetch": fetch,
        "preprocess": preprocess,
        "train": train,
        "evaluate": evaluate,
    }
    work[stage](*arguments)


main(*sys.argv[1:])
