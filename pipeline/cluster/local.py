"""Stages on this machine: child processes, started by the threads of a local Dask cluster."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, Future, wait

from pipeline.cluster.schedule import Backend, log_path
from pipeline.cluster.worker import DVC, run_process
from pipeline.tools import memory_estimate
from pipeline.tools.plan import PlannedStage

_cancelled = threading.Event()


@contextmanager
def local_backend(jobs: int) -> Iterator[Backend]:
    """`jobs` stages at a time, fewer where memory has no room for as many trainings.

    No child process outlives an exception in the body.
    """
    trainings = int(memory_estimate.available_memory() / memory_estimate.LARGEST_TRAINING)
    jobs = min(jobs, max(1, trainings))
    submitted: list[Future[Any]] = []
    with Client(
        n_workers=1,
        threads_per_worker=jobs,
        processes=False,
        memory_limit=None,  # of this process, which stays small
        dashboard_address="127.0.0.1:0",  # a free port
    ) as client:

        def submit(stage: PlannedStage) -> Future[Any]:
            print(f"{stage.name}  started, log in {log_path(stage.name)}", flush=True)
            submitted.append(client.submit(_succeeds, stage.name, pure=False))
            return submitted[-1]

        try:
            yield Backend(lambda: jobs, submit, lambda results: results)
        finally:
            _cancelled.set()
            wait(submitted)


def _succeeds(stage: str) -> bool:
    log = log_path(stage)
    log.write_bytes(b"")
    status = run_process(*DVC, "repro", "--single-item", stage, log=log, poll=_raise_if_cancelled)
    return status == 0


def _raise_if_cancelled() -> None:
    if _cancelled.is_set():
        raise RuntimeError("cancelled")
