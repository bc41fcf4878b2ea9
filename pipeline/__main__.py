"""`python -m pipeline STAGE [ENTRY]`: the command of every stage in dvc.yaml.

Checks parameters and packages, runs the stage, records its duration. It decides only whether a
stage runs, never what it writes, so no stage depends on this file.
"""

import importlib
import os
import sys
import time

from pipeline.core.errors import WRONG_PYTHON, PipelineError

try:
    from pipeline.core import files
    from pipeline.core.params import lookup, read_params
    from pipeline.tools import config, environment, processes
except ModuleNotFoundError as error:  # `.venv/bin/dvc repro` runs whichever `python` is in PATH
    sys.exit(f"pipeline: {error}: {WRONG_PYTHON}")

STAGES = {
    "fetch": "pipeline.datasets.fetch",
    "preprocess": "pipeline.datasets.preprocess",
    "explore": "pipeline.datasets.explore",
    "features": "pipeline.datasets.features",
    "train": "pipeline.training.train",
    "evaluate": "pipeline.evaluation.evaluate",
    "export": "pipeline.evaluation.tflite",
    "compare": "pipeline.comparison.compare",
    "page": "pipeline.page.page",
}
SECTIONS = {"features": "backbones", "train": "variants", "evaluate": "variants"}  # per entry


def main(arguments: list[str]) -> None:
    """Run the stage `arguments[0]` with the others; after a PipelineError nothing is recorded."""
    processes.watch_parent()
    params = read_params()
    config.check(params)
    environment.check()
    stage, *entry = arguments or [""]
    if stage not in STAGES or (stage in SECTIONS and len(entry) != 1):
        raise PipelineError(f"usage: python -m pipeline {{{','.join(STAGES)}}} [ENTRY]")
    if stage in SECTIONS:
        lookup(params, f"{SECTIONS[stage]}.{entry[0]}")
    # DVC's name of the stage, such as `compare` or `train@final`.
    name = "@".join(arguments) if stage in SECTIONS else stage
    files.check_writable(environment.path(name))
    # Keras imports matplotlib, which fails on a backend that is not installed.
    os.environ.pop("MPLBACKEND", None)
    started = time.monotonic()
    try:  # Killed runs of the same training took `earlier` seconds before this one.
        earlier = importlib.import_module(STAGES[stage]).main(entry) or 0.0
    except FileNotFoundError as error:
        raise PipelineError(
            f"{error.filename}: expected an input of {stage}, found no such file; run `dvc repro`"
        ) from error
    environment.record(name, earlier + time.monotonic() - started)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"{' '.join(['pipeline', *sys.argv[1:]])}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
