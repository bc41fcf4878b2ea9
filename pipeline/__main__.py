"""`python -m pipeline STAGE [VARIANT]`: what every `cmd` of dvc.yaml calls.

Checks all of params.yaml and the installed libraries first, so that a mistake stops the run
before any stage has worked, then the files that the stage gets from earlier ones; ends a stage
whose DVC is gone; turns a PipelineError into a message and exit status 1. It decides only whether
a stage runs, never what it writes, so no stage depends on this file.
"""

import importlib
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.tools import activation

try:
    from pipeline.base import files, params_file
    from pipeline.base.errors import PipelineError
    from pipeline.data import settings
    from pipeline.preprocess import folders
    from pipeline.tools import (
        environment,
        lifeline,
        memory,
        processor,
        recorded,
        room,
        schema,
        speeds,
    )
    from pipeline.train import arithmetic
except ModuleNotFoundError as error:  # as by `.venv/bin/dvc repro`, whose stages ask for `python`
    sys.exit(f"pipeline: {error}: {activation.REMEDY}")

STAGES = {
    "fetch": "pipeline.fetch.stage",
    "preprocess": "pipeline.preprocess.stage",
    "explore": "pipeline.explore.stage",
    "train": "pipeline.train.stage",
    "evaluate": "pipeline.evaluate.stage",
    "compare": "pipeline.comparison.stage",
    "page": "pipeline.page.page",
}
PER_VARIANT = ("train", "evaluate")
NOTHING_TO_FETCH = (
    "expected dataset.kind cifar10 in params.yaml, which alone is fetched, found photos; "
    "`dvc freeze fetch`, or delete the stage fetch in dvc.yaml"
)


def main(arguments: list[str]) -> None:
    """Run the stage `arguments[0]` with the rest; PipelineError when there is no such stage."""
    if not arguments or arguments[0] not in STAGES:
        raise PipelineError(f"usage: python -m pipeline {{{','.join(STAGES)}}} [ARGUMENTS]")
    # Keras imports matplotlib, which fails by it where it names what is not installed here.
    os.environ.pop("MPLBACKEND", None)
    lifeline.watch()
    params = params_file.read()
    schema.check(params)
    if arguments[0] == "fetch" and isinstance(settings.read(params), settings.Photos):
        raise PipelineError(NOTHING_TO_FETCH)
    environment.check()
    # By hand, and in the copy of `make verify`, stages work on files that DVC knows nothing of.
    if os.environ.get("DVC_STAGE", "").rpartition(":")[2] == stage_name(arguments):
        from pipeline.tools import intact  # imports DVC, which takes half a second

        intact.check_inputs(stage_name(arguments))
    if arguments[0] in ("compare", "page"):
        recorded.expect_current(params["variants"])
    files.expect_writable(environment.path(stage_name(arguments)))
    for line in _told(params, arguments):
        print(line, flush=True)
    stage = importlib.import_module(STAGES[arguments[0]])
    started = time.monotonic()
    earlier = stage.main(arguments[1:]) or 0.0  # seconds, of a training that was killed before
    environment.record(stage_name(arguments), earlier + time.monotonic() - started)
    if arguments[0] == "compare" and not processor.is_x86_64():
        print(
            f"trained on {platform.machine()}: models have other bytes than the committed ones, "
            "which are those of x86-64 processors (docs/reproducibility.md#same-bytes)"
        )


def _told(params: Mapping[str, Any], arguments: list[str]) -> Iterator[str]:
    """What is to be said before the stage works; PipelineError where there is no room for it."""
    if arguments[0] == "train":
        yield from filter(None, (memory.warning(), _advice(params, arguments[1:])))
    dataset = settings.read(params)
    if arguments[0] == "preprocess" and isinstance(dataset, settings.Photos):
        yield f"preprocess: {room.check(folders.find(Path(dataset.folder)), dataset)}"


def _advice(params: Mapping[str, Any], names: list[str]) -> str | None:
    """What would train the variant of that name quicker here, if anything."""
    chosen = params["variants"].get("".join(names))
    if chosen is None:  # the stage will say so
        return None
    key = chosen["arithmetic"]
    return speeds.advice(arithmetic.read(params, key), chosen["network"], f"arithmetic.{key}")


def stage_name(arguments: list[str]) -> str:
    """The name that DVC gives the run: `train@final` for a stage per variant, else `compare`."""
    return "@".join(arguments[:2]) if arguments[0] in PER_VARIANT else arguments[0]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"{' '.join(['pipeline', *sys.argv[1:]])}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C; a traceback would only frighten
