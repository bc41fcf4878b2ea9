"""The stages of a plan as tasks of a Dask cluster: handed out, watched, their results collected."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from dask.base import tokenize
from distributed import Client, Future, wait

from pipeline.base.errors import PipelineError
from pipeline.cluster import here, screen, there
from pipeline.cluster.jobs import Job
from pipeline.cluster.screen import Screen
from pipeline.tools.plan_stages import StagePlan

LOOK_SECONDS = 0.5  # between two looks at the logs
ALONE_SECONDS = 60.0  # without any stage under way, before that is told
NUDGE_SECONDS = 5.0
UNKNOWN_SECONDS = 1e6  # of a stage that never ran: it may be long

GONE = (
    "the Dask scheduler is gone, or it dropped the stages; what has ended is recorded: see "
    "that the scheduler runs, then run again"
)

Task = Callable[..., Any]  # of the stage's name and what the tasks before it gave
Take = Callable[[Mapping[str, Any]], None]  # of what tasks gave, by stage


@dataclasses.dataclass(frozen=True)
class Place:
    """A cluster, what its tasks are and what a stage `needs` of Dask's resources.

    `started` fills with the stages under way; `nudge` is to be called now and then.
    """

    client: Client
    task: Task
    needs: Callable[[str], Mapping[str, float]]
    started: Collection[str]
    nudge: Callable[[], object]


def submit(
    place: Place, stages: Iterable[StagePlan], *, base: str, within: str = ""
) -> dict[str, Future[Any]]:
    """The tasks of `stages` by name, which begins with `within`; each after those it depends on.

    Stages that read the same are one task, where they also have the same `base`: what they might
    read beside what is known of them. Of several that could begin the longest comes first, lest it
    be left running alone at the end.
    """
    futures: dict[str, Future[Any]] = {}
    for stage in stages:
        seconds = UNKNOWN_SECONDS if stage.seconds is None else stage.seconds
        before = [futures[within + name] for name in stage.after if within + name in futures]
        made_from = tokenize(base, stage.inputs, [future.key for future in before])
        futures[within + stage.stage] = place.client.submit(
            place.task,
            within + stage.stage,
            *before,
            key=f"{stage.stage}-{made_from}",
            priority=math.ceil(seconds),
            resources=place.needs(stage.stage),
            pure=False,
        )
    return futures


@contextmanager
def ended(place: Place) -> Iterator[dict[str, Future[Any]]]:
    """Tasks, to be filled in, none of which outlives an exception in the body."""
    futures: dict[str, Future[Any]] = {}
    try:
        yield futures
    except BaseException:
        here.children.end()  # else the cluster would wait for what still runs
        place.client.cancel(list(futures.values()), force=True)
        raise


def watch(place: Place, futures: Mapping[str, Future[Any]], take: Take) -> list[Job]:
    """Show the tasks until all have ended, and `take` what they gave; the failed stages.

    A stage that fails holds back those behind it and no other. Raises PipelineError when the
    cluster is lost.
    """
    left, failed, nudged, told = dict(futures), [], time.monotonic(), time.monotonic()
    with screen.screen() as shown:
        while left:
            failed += _take_ended(left, shown, take)
            running, now = [Job(name) for name in left if name in place.started], time.monotonic()
            shown.show(running)
            if now - nudged > NUDGE_SECONDS:
                place.nudge()
                nudged = now
            if running:
                told = now
            elif left and now - told > ALONE_SECONDS:
                print(f"waiting for a worker that can run {', '.join(left)}", flush=True)
                told = now
    return failed


def _take_ended(left: dict[str, Future[Any]], shown: Screen, take: Take) -> list[Job]:
    """Wait a moment for tasks to end, and remove those that have; the failed stages among them."""
    _wait(left.values())
    ended = {name: left.pop(name) for name, future in list(left.items()) if future.done()}
    given = {name: each.result() for name, each in ended.items() if each.status == "finished"}
    if given:  # all at once: where the head is slower than the workers, ever more at a time
        take(given)
    failed = []
    for name, future in ended.items():
        if name in given:
            shown.finished(Job(name), succeeded=True)
        elif (reason := _reason(name, future)) is not None:
            Job(name).add(reason)
            failed.append(Job(name))
            shown.finished(Job(name), succeeded=False)
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
