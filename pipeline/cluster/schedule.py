"""Submits stages to Dask as soon as their inputs are ready, and reports their ends."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from distributed import Future, wait

from pipeline.base.errors import PipelineError
from pipeline.tools.plan import PlannedStage

POLL_SECONDS = 0.5
SCHEDULER_GONE = (
    "the Dask scheduler is gone; ended stages are recorded: start the scheduler and its workers, "
    "then run again"
)


@dataclass(frozen=True)
class Backend:
    """Where stages run."""

    slots: Callable[[], int]  # the number of stages that may be submitted at a time
    submit: Callable[[PlannedStage], Future[Any]]
    # Takes over results by stage: True where it succeeded, None where it is to be submitted again.
    collect: Callable[[Mapping[str, Any]], Mapping[str, bool | None]]


def log_path(stage: str) -> Path:
    """The log of `stage`, in a folder that exists."""
    Path("logs").mkdir(exist_ok=True)
    return Path("logs", f"{stage}.log")


def run_stages(stages: Sequence[PlannedStage], backend: Backend) -> tuple[list[str], list[str]]:
    """Run `stages`; those that failed, and those not started because an upstream stage failed.

    Of the stages that are ready, those of unknown duration are submitted first, then the longest.
    """
    longest_first = sorted(stages, key=lambda stage: stage.seconds or float("inf"), reverse=True)
    running: dict[str, Future[Any]] = {}
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


def _results(running: Mapping[str, Future[Any]]) -> dict[str, Any]:
    """The results that arrive within POLL_SECONDS. Raises PipelineError without a scheduler."""
    try:
        if running:
            wait(list(running.values()), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
        else:
            sleep(POLL_SECONDS)
    except TimeoutError:
        pass
    except CancelledError as error:
        raise PipelineError(SCHEDULER_GONE) from error
    results = {}
    for name, future in running.items():
        if future.status == "finished":
            results[name] = future.result()
        elif future.status == "error":  # several workers died of it
            with log_path(name).open("a", encoding="utf-8") as log:
                log.write(f"{future.exception()!r}\n")
            results[name] = {"failed": True}
        elif future.status == "cancelled":
            raise PipelineError(SCHEDULER_GONE)
    return results
