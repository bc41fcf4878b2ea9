"""Installed packages and processor of a run: checked against the pins before it, recorded after it.

The cache key of a stage holds requirements/*.txt and not what is installed, so the two must agree.
`python -m pipeline.tools.environment` only checks.
"""

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.tools import processes

PINS = tuple(Path("requirements") / f"{name}.txt" for name in ("numpy", "tensorflow", "reports"))
RUNS = Path("reports/runs")
CPU_INFO = Path("/proc/cpuinfo")


def pins() -> dict[str, tuple[str, Path]]:
    """Package name to its pinned version and the file that pins it."""
    lines = [(line, path) for path in PINS for line in path.read_text(encoding="utf-8").split()]
    return {name: (version, path) for line, path in lines for name, version in [line.split("==")]}


def check() -> None:
    """Raise PipelineError when an installed version is not the pinned one."""
    for name, (pinned, path) in pins().items():
        installed = next((d.version for d in importlib.metadata.distributions(name=name)), "none")
        if installed != pinned:
            raise PipelineError(
                f"{path} pins {name} {pinned}, found {installed}: run `make setup`, or pin the "
                "installed version, so that DVC reruns the stages that depend on it"
            )


def path(stage: str) -> Path:
    """The file that records the last run of `stage`."""
    return RUNS / f"{stage}.json"


def variant_of(stage: str) -> str:
    """The variant of a stage such as `train@final`; empty for other stages."""
    return stage.partition("@")[2]


def record(stage: str, seconds: float) -> None:
    """Write duration, machine and package versions of a run of `stage` to `path(stage)`.

    No stage depends on these files; make plan reads them. Of a training `paths.training_time`, too,
    which the page shows: the one first measured, as long as the history has the same bytes.
    """
    run = {
        "seconds": round(seconds, 1),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version for name, (version, _) in pins().items()},
    }
    files.write_json(path(stage), run)
    if stage.startswith("train@"):
        variant = variant_of(stage)
        first, digest = paths.training_time(variant), files.sha256(paths.history(variant))
        if read_record(first).get("history") != digest:
            files.write_json(first, {"history": digest, **run})


def read_record(file: Path) -> Mapping[str, Any]:
    """The record of a run; empty where `file` is missing or damaged."""
    with suppress(OSError, ValueError):
        return json.loads(file.read_text(encoding="utf-8"))
    return {}


def processor_name() -> str:
    """The model name of the processor; "unknown" where the system does not give one."""
    text = CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.exists() else ""
    match = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    # platform.processor() is empty or generic on Linux.
    return (match[1].strip() if match else platform.processor()) or "unknown"


if __name__ == "__main__":
    processes.run_command(check)
