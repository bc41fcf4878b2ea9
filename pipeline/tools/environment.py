"""The libraries a stage runs on: checked against the pins before, recorded after.

DVC's key of a stage holds requirements/*.txt and not what is installed, so the two must agree.
`python -m pipeline.tools.environment` only checks.
"""

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.tools import processor

PINS = tuple(Path("requirements") / f"{name}.txt" for name in ("numpy", "tensorflow", "reports"))
RUNS = Path("reports/runs")
# Keras's debugging aids: they would cut every training short, and DVC would not know.
CUTTING_SHORT = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")


def pins() -> dict[str, tuple[str, Path]]:
    """Package name to its pinned version and the file that pins it."""
    found = {}
    for path in PINS:
        for line in path.read_text(encoding="utf-8").split():
            name, _, version = line.partition("==")
            found[name] = (version, path)
    return found


def check() -> None:
    """Raise PipelineError when an installed library is not the one that the stages depend on.

    Or when the user's environment tells Keras to end trainings early.
    """
    for name in CUTTING_SHORT:
        if name in os.environ:
            raise PipelineError(
                f"the environment has {name}={os.environ[name]}, by which Keras would cut every "
                f"training short, unseen by DVC: `unset {name}`, and set epochs in params.yaml"
            )
    for name, (wanted, path) in pins().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed != wanted:
            raise PipelineError(
                f"{path} pins {name} {wanted}, found {installed}: run `make setup`, or write the "
                "installed version there, so that DVC reruns what depends on it"
            )


def path(stage: str) -> Path:
    """Where the last run of `stage` is recorded."""
    return RUNS / f"{stage}.json"


def record(stage: str, seconds: float) -> None:
    """Write to `path(stage)` that `stage` took so many `seconds`, and on what.

    No stage reads or depends on these files; the plan, verify and the README do.
    """
    run = {
        "seconds": round(seconds, 1),
        "processor": processor.name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version for name, (version, _) in pins().items()},
    }
    files.write_json(path(stage), run)


def recorded(stage: str, folder: Path = Path()) -> Mapping[str, Any] | None:
    """What `record` wrote of the last run of `stage` in `folder`; None: nothing, or damaged."""
    with suppress(OSError, ValueError):
        run = json.loads((folder / path(stage)).read_text(encoding="utf-8"))
        if isinstance(run, dict) and isinstance(run.get("libraries"), dict):
            return run if isinstance(run.get("seconds"), (int, float)) else None
    return None


if __name__ == "__main__":
    try:
        check()
    except PipelineError as error:
        sys.exit(str(error))
