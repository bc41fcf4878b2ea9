"""Stages on this machine: child processes, started by the threads of a local Dask cluster."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from distributed import Client, Future, LocalCluster, wait

from pipeline.cluster.schedule import Backend, log_path
from pipeline.cluster.worker import DVC, run_process
from pipeline.tools import memory_estimate
from pipeline.tools.plan import PlannedStage

_cancelled = threading.Event()


class LocalBackend:
    """Runs `jobs` stages at a time."""

    def __init__(self, client: Client, jobs: int) -> None:
        self._client, self._jobs = client, jobs
        self.submitted: list[Future[dict[str, Any]]] = []

    def slots(self) -> int:
        return self._jobs

    def submit(self, stage: PlannedStage) -> Future[dict[str, Any]]:
        print(f"{stage.name}  started, log in {log_path(stage.name)}", flush=True)
        self.submitted.append(self._client.submit(_run, stage.name, pure=False))
        return self.submitted[-1]

    def collect(self, results: Mapping[str, dict[str, Any]]) -> Mapping[str, bool]:
        return {name: not result["failed"] for name, result in results.items()}


@contextmanager
def local_backend(jobs: int) -> Iterator[Backend]:
    """`jobs` stages at a time, fewer where memory has no room for as many trainings.

    No child process outlives an exception in the body.
    """
    trainings = int(memory_estimate.available_memory() / memory_estimate.LARGEST_TRAINING)
    jobs = min(jobs, max(1, trainings))
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=jobs,
            processes=False,
            memory_limit=None,  # of this process, which stays small
            dashboard_address="127.0.0.1:0",  # a free port
        ) as cluster,
        Client(cluster) as client,
    ):
        backend = LocalBackend(client, jobs)
        try:
            yield backend
        finally:
            _cancelled.set()
            wait(backend.submitted)


def _run(stage: str) -> dict[str, Any]:
    command = (*DVC, "repro", "--single-item", stage)
    log_path(stage).write_bytes(b"")
    return {"failed": bool(run_process(*command, log=log_path(stage), poll=_raise_if_cancelled))}


def _raise_if_cancelled() -> None:
    if _cancelled.is_set():
        raise RuntimeError("cancelled")
