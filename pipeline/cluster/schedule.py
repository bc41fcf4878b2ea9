"""Submits stages to Dask as soon as their inputs are ready, and reports their ends."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Protocol

from distributed import Future, wait

from pipeline.base.errors import PipelineError
from pipeline.tools.plan import PlannedStage

POLL_SECONDS = 0.5
SCHEDULER_GONE = (
    "the Dask scheduler is gone; ended stages are recorded: start the scheduler and its workers, "
    "then run again"
)


class Backend(Protocol):
    """Where stages run."""

    def slots(self) -> int:
        """How many stages may be submitted at a time."""

    def submit(self, stage: PlannedStage) -> Future[dict[str, Any]]:
        """The result of `stage`, in which `failed` says that its command failed."""

    def collect(self, results: Mapping[str, dict[str, Any]]) -> Mapping[str, bool | None]:
        """Take over `results`, by stage: True where it succeeded, None where it must run again."""


def log_path(stage: str) -> Path:
    """The log of `stage`, whose folder exists."""
    path = Path("logs", f"{stage}.log")
    path.parent.mkdir(exist_ok=True)
    return path


def run_stages(stages: Sequence[PlannedStage], backend: Backend) -> tuple[list[str], list[str]]:
    """Run `stages`; those that failed, and those not started because an upstream stage failed.

    Of the stages that are ready the longest is submitted first, an unknown one before it.
    """
    longest_first = sorted(stages, key=lambda stage: stage.seconds or float("inf"), reverse=True)
    running: dict[str, Future[dict[str, Any]]] = {}
    ended: dict[str, bool] = {}
    try:
        while True:
            ready = [
                stage
                for stage in longest_first
                if stage.name not in running | ended and all(map(ended.get, stage.upstream))
            ]
            if not ready and not running:
                break
            for stage in ready[: max(0, backend.slots() - len(running))]:
                running[stage.name] = backend.submit(stage)
            for name, succeeded in backend.collect(_results(running)).items():
                del running[name]
                if succeeded is not None:
                    ended[name] = succeeded
                    text = "ended" if succeeded else f"failed, log in {log_path(name)}"
                    print(f"{name}  {text}, {len(stages) - len(ended)} left", flush=True)
    except SystemExit:
        left = len(stages) - len(ended)
        print(f"interrupted: {len(ended)} stages ended and are recorded, {left} left", flush=True)
        raise
    failed = [name for name, succeeded in ended.items() if not succeeded]
    return failed, [stage.name for stage in stages if stage.name not in ended]


def _results(running: Mapping[str, Future[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The results that have arrived, after at most POLL_SECONDS."""
    try:
        if running:
            wait(list(running.values()), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
        else:
            time.sleep(POLL_SECONDS)
    except TimeoutError:
        pass
    except CancelledError as error:
        raise PipelineError(SCHEDULER_GONE) from error
    if any(future.status == "cancelled" for future in running.values()):
        raise PipelineError(SCHEDULER_GONE)
    results = {name: f.result() for name, f in running.items() if f.status == "finished"}
    for name, future in running.items():
        if future.status == "error":  # Dask gives a stage up after several workers died of it
            with log_path(name).open("a", encoding="utf-8") as log:
                log.write(f"{future.exception()!r}\n")
            results[name] = {"failed": True}
    return results
