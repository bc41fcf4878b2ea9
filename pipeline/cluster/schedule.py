"""Submits stages to Dask as soon as their inputs are ready, and reports their ends."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from distributed import Client, Future

from pipeline.cluster.worker import DVC, POLL_SECONDS, raise_if_cancelled, run_process
from pipeline.core.errors import PipelineError
from pipeline.tools.plan import PlannedStage

WAIT_SECONDS = 60  # without a worker that can run stages
LARGEST_TRAINING = 3.9 * 2**30  # bytes, measured: `best` on CIFAR-10 with eight threads
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of the control group of a container


def local_client(jobs: int) -> Client:
    """`jobs` threads of this process, fewer where memory has no room for as many trainings."""
    trainings = int(available_memory() / LARGEST_TRAINING)
    return Client(
        n_workers=1,
        threads_per_worker=max(1, min(jobs, trainings)),
        processes=False,
        memory_limit=None,  # of this process, which stays small
        dashboard_address="127.0.0.1:0",  # a free port
    )


def available_memory() -> int:
    """Bytes of the machine's memory, or of its container's."""
    total: int = psutil.virtual_memory().total
    limit = MEMORY_LIMIT.read_text().strip() if MEMORY_LIMIT.exists() else "max"
    return min(total, int(limit)) if limit.isdecimal() else total


class Backend:
    """The workers of `client`, all threads of this process; stages are its children.

    An unsuitable worker gets more stages only when the others are gone.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.unsuitable: set[str] = set()
        self._last_seen = time.monotonic()

    def task(self, stage: str) -> tuple[Any, ...]:
        """A function and its arguments, which Dask runs.

        It returns the `files` that the stage wrote, nothing when the stage failed, or why its
        `worker` is `unsuitable`.
        """
        return _run_stage, stage

    def write_results(self, results: Mapping[str, dict[str, bytes]]) -> None:
        """Take over the `files` of stages; those of children are in place."""

    def workers(self) -> dict[str, int]:
        """The threads of each suitable worker; PipelineError after WAIT_SECONDS without one."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        # Dask gives no tasks to workers that are still starting, whose status is `init`.
        started = {name for name in known if known[name]["status"] != "init"}
        threads = {name: known[name]["nthreads"] for name in started - self.unsuitable}
        if threads:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > WAIT_SECONDS:
            raise PipelineError(
                f"expected a suitable Dask worker, found none in {WAIT_SECONDS} s; docs/cluster.md"
            )
        return threads

    def submit(self, stage: str, workers: Sequence[str]) -> Future[Any]:
        """Run `stage` on one of `workers`, or on another when they are gone."""
        print(f"{stage}  started, log in {log_path(stage)}", flush=True)
        options: dict[str, Any] = {"key": f"{stage}-{uuid4().hex}"}
        if self.unsuitable:
            options |= {"workers": workers, "allow_other_workers": True}
        return self.client.submit(*self.task(stage), **options)

    def results(self, running: Mapping[str, Future[Any]]) -> dict[str, dict[str, Any]]:
        """The results of the stages that have ended, after `write_results`.

        Raises PipelineError without the scheduler, KilledWorker for a stage that ended workers.
        """
        if self.client.status != "running" or any(f.cancelled() for f in running.values()):
            raise PipelineError("the Dask scheduler is gone; start it and its workers, run again")
        results = {name: future.result() for name, future in running.items() if future.done()}
        if files := {name: each["files"] for name, each in results.items() if "files" in each}:
            self.write_results(files)
        return results


def run_stages(stages: Sequence[PlannedStage], backend: Backend) -> dict[str, bool]:
    """Run `stages`: whether each succeeded, without those behind a failed one.

    Of the stages that are ready, those of unknown duration are submitted first, then the longest.
    """
    longest_first = sorted(stages, key=lambda stage: stage.seconds or float("inf"), reverse=True)
    for stage in stages:
        log_path(stage.name).unlink(missing_ok=True)
    running: dict[str, Future[Any]] = {}
    ended: dict[str, bool] = {}
    while ready := [
        stage.name
        for stage in longest_first
        if stage.name not in ended and all(map(ended.get, stage.upstream))
    ]:
        workers = backend.workers()
        if not workers:
            running.clear()  # Dask keeps tasks for `workers` waiting where no other was there
        waiting = [name for name in ready if name not in running]
        for name in waiting[: max(0, sum(workers.values()) - len(running))]:
            running[name] = backend.submit(name, list(workers))
        time.sleep(POLL_SECONDS)
        for name, result in backend.results(running).items():
            del running[name]
            if reason := result.get("unsuitable"):
                backend.unsuitable.add(result["worker"])
                print(f"{name}  returned by {result['worker']}: {reason}", flush=True)
            else:
                ended[name] = "files" in result
                print(f"{name}  {'ended' if ended[name] else 'failed'}", flush=True)
    return ended


def log_path(stage: str) -> Path:
    """The log of `stage`, in a folder that exists."""
    Path("logs").mkdir(exist_ok=True)
    return Path("logs", f"{stage}.log")


def _run_stage(stage: str) -> dict[str, Any]:
    with log_path(stage).open("wb") as log:
        command = (*DVC, "repro", "--single-item", stage)
        status = run_process(*command, output=log, poll=raise_if_cancelled)
    return {} if status else {"files": {}}
