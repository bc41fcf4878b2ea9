"""The stages of a plan as tasks of a Dask cluster: handed out, watched, their results collected."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import CancelledError
from typing import Any
from uuid import uuid4

from distributed import Client, Future, wait

from pipeline.base.errors import PipelineError
from pipeline.ops.cluster import there
from pipeline.ops.cluster.jobs import Job
from pipeline.ops.cluster.screen import Screen
from pipeline.ops.plan_stages import StagePlan

LOOK_SECONDS = 0.5  # between two looks at the logs
ALONE_SECONDS = 60.0  # without any stage under way, before that is told
NUDGE_SECONDS = 5.0
UNKNOWN_SECONDS = 1e6  # of a stage that never ran: it may be long

Needs = Mapping[str, Mapping[str, float]]  # Dask's resources, by stage
GONE = (
    "the Dask scheduler is gone, or it dropped the stages; what has ended is recorded: see "
    "that the scheduler runs, then run again"
)

Task = Callable[..., Any]  # of the stage's name and what the tasks before it gave
Taken = Callable[[str, Any], None]  # a stage and what its task gave


def submit(
    client: Client,
    stages: Iterable[StagePlan],
    task: Task,
    needs: Needs,
) -> dict[str, Future[Any]]:
    """The tasks of `stages`, each after those that it depends on; `needs` are Dask's resources.

    Of several that could begin the longest comes first, lest it be left running alone at the end.
    """
    run = uuid4().hex  # the same stages may have been tasks of an earlier run
    futures: dict[str, Future[Any]] = {}
    for stage in stages:
        seconds = UNKNOWN_SECONDS if stage.seconds is None else stage.seconds
        futures[stage.stage] = client.submit(
            task,
            stage.stage,
            *(futures[before] for before in stage.after if before in futures),
            key=f"{stage.stage}-{run}",
            priority=math.ceil(seconds),
            resources=needs[stage.stage],
            pure=False,
        )
    return futures


def watch(
    futures: Mapping[str, Future[Any]],
    started: Collection[str],
    screen: Screen,
    taken: Taken,
    nudge: Callable[[], object],
) -> list[Job]:
    """Show the tasks until all have ended, and have what they gave `taken`; the failed stages.

    `started` names those under way, and grows meanwhile; `nudge` is called now and then. A stage
    that fails holds back those behind it and no other. Raises PipelineError when the cluster is
    lost.
    """
    left, failed, nudged, told = dict(futures), [], time.monotonic(), time.monotonic()
    while left:
        _wait(left.values())
        for name in [name for name, future in left.items() if future.done()]:
            future, job = left.pop(name), Job(name)
            if future.status == "finished":
                taken(name, future.result())
                screen.finished(job, succeeded=True)
            elif (reason := _reason(name, future)) is not None:
                job.add(reason)
                failed.append(job)
                screen.finished(job, succeeded=False)
        running, now = [Job(name) for name in left if name in started], time.monotonic()
        screen.show(running)
        if now - nudged > NUDGE_SECONDS:
            nudge()
            nudged = now
        if running:
            told = now
        elif left and now - told > ALONE_SECONDS:
            print(f"waiting for a worker that can run {', '.join(left)}", flush=True)
            told = now
    return failed


def _wait(futures: Iterable[Future[Any]]) -> None:
    try:
        wait(list(futures), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        pass
    except CancelledError as error:
        raise PipelineError(GONE) from error


def _reason(name: str, future: Future[Any]) -> str | None:
    """Why the stage `name` failed, a line for its log; None where one before it did."""
    if future.status != "error":
        raise PipelineError(GONE)
    error = future.exception()
    if isinstance(error, RuntimeError) and error.args[:1] == (there.FAILED,):
        return "" if error.args[1] == name else None
    # Dask gives a stage up after some workers have died of it.
    return f"{type(error).__name__}: {error}"
