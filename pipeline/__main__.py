"""`python -m pipeline STAGE [VARIANT]`: the command of every stage in dvc.yaml.

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
    "train": "pipeline.training.train",
    "evaluate": "pipeline.evaluation.evaluate",
    "export": "pipeline.evaluation.tflite",
    "compare": "pipeline.comparison.compare",
    "page": "pipeline.page.page",
}
PER_VARIANT = ("train", "evaluate")


def main(arguments: list[str]) -> None:
    """Run the stage `arguments[0]` with the others; after a PipelineError nothing is recorded."""
    processes.watch_parent()
    params = read_params()
    config.check(params)
    environment.check()
    stage, *variant = arguments or [""]
    if stage not in STAGES or (stage in PER_VARIANT and len(variant) != 1):
        raise PipelineError(f"usage: python -m pipeline {{{','.join(STAGES)}}} [VARIANT]")
    if stage in PER_VARIANT:
        lookup(params, f"variants.{variant[0]}")
    # DVC's name of the stage, such as `compare` or `train@final`.
    name = "@".join(arguments) if stage in PER_VARIANT else stage
    files.check_writable(environment.path(name))
    started = time.monotonic()
    earlier = run(*arguments)
    environment.record(name, earlier + time.monotonic() - started)


def run(stage: str, *arguments: str) -> float:
    """Run the stage; the seconds that killed runs of the same training took before it."""
    # Keras imports matplotlib, which fails on a backend that is not installed.
    os.environ.pop("MPLBACKEND", None)
    try:
        seconds: float | None = importlib.import_module(STAGES[stage]).main(list(arguments))
    except FileNotFoundError as error:
        raise PipelineError(
            f"{error.filename}: expected an input of {stage}, found no such file; run `dvc repro`"
        ) from error
    return seconds or 0.0


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"{' '.join(['pipeline', *sys.argv[1:]])}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
