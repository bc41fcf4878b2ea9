"""Stands in for pipeline/__main__.py in tests of verify: results in the real formats, at once.

As on a real machine, they depend on more than the project: STUB_DRIFT is added to every metric
from the third epoch on, after STUB_LASTING epochs a training never ends, STUB_FAILS names a stage
that fails, STUB_OMITS an output that evaluate does not write.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.core import files, paths
from pipeline.datasets.preprocess import write_npz
from pipeline.tools import environment, parent_watchdog
from pipeline.training import history
from pipeline.training.history import history_csv

EPOCHS = 5
DRIFT = float(os.environ.get("STUB_DRIFT", "0"))


def read_params() -> Any:
    return yaml.safe_load(Path("params.yaml").read_text())


def fetch() -> None:
    if not Path("data/raw").exists():
        print("stub fetch downloads")
        files.write_text(Path("data/raw/data_batch_1.bin"), "pixels")


def preprocess() -> None:
    print("photos:", *Path("data/photos").glob("*"))
    for name in ("train", "validation", "test"):
        files.write_text(paths.split(name), f"{name} {read_params()['dataset']['seed']}")
    files.write_text(paths.CLASS_NAMES, "cat\ndog")
    environment.record("preprocess", 1.0)


def train(variant: str) -> None:
    params, lasting = read_params(), os.environ.get("STUB_LASTING")
    recipe = params["recipes"][params["variants"][variant]["recipe"]]
    metrics = {
        name: [
            0.3 + 0.1 * epoch + (DRIFT if epoch >= 2 else 0) + len(name) / 1000
            for epoch in range(int(lasting or EPOCHS))
        ]
        for name in history.METRICS
        if recipe["train_on"] == "train" or not name.startswith("val_")
    }
    arrays = {f"history_{name}": np.array(values) for name, values in metrics.items()}
    write_npz(paths.checkpoint(variant), **arrays)
    if lasting:
        time.sleep(3600)
    files.write_text(paths.model(variant), f"weights {variant} {DRIFT}")
    files.write_text(paths.history(variant), history_csv(metrics))
    paths.checkpoint(variant).unlink()
    environment.record(f"train@{variant}", 2.0)


def evaluate(variant: str) -> None:
    metrics = {"accuracy": 0.5 + DRIFT, "loss": 1.0 - DRIFT, "macro_f1": 0.5, "parameters": 10}
    files.write_json(paths.metrics(variant), metrics)
    for output in (paths.predictions, paths.tflite, paths.classes, paths.misclassified):
        if output.__name__ != os.environ.get("STUB_OMITS"):
            files.write_text(output(variant), f"{output.__name__} {variant}")


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
