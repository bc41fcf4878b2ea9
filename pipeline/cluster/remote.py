"""Stages on the workers of a Dask scheduler, which get commits by git and data by a DVC remote."""

import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from distributed import Client, Future

from pipeline.base.errors import PipelineError
from pipeline.cluster import worker
from pipeline.cluster.project import Project
from pipeline.cluster.schedule import SCHEDULER_GONE, Backend, log_path
from pipeline.tools.plan import PlannedStage

CONNECT_SECONDS = 20
WAIT_SECONDS = 60  # without a worker that can run stages
# The source text of worker.py, as pickled code belongs to one version of Python.
RUN = "exec(source, module) or module['run_stage'](job)"


@contextmanager
def remote_backend(scheduler: str, stages: Sequence[PlannedStage]) -> Iterator[Backend]:
    """The workers of `scheduler`, also those that come later; their tasks end with the body.

    Raises PipelineError without a scheduler, and for what workers cannot get.
    """
    project = Project({stage.name for stage in stages})
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise PipelineError(
            f"CLUSTER={scheduler}: expected a Dask scheduler, found none ({error}); start it, "
            "docs/cluster.md"
        ) from error
    with client:
        client.subscribe_topic(project.common["topic"], _handle_event)
        project.push_inputs()
        workers = Workers(client, project)
        yield Backend(workers.slots, workers.submit, workers.collect)


class Workers:
    """The workers of a scheduler. One that cannot run stages gets no more of them in this run."""

    def __init__(self, client: Client, project: Project) -> None:
        self._client, self._project = client, project
        self._threads: dict[str, int] = {}  # by suitable worker
        self._unsuitable: dict[str, str] = {}  # reason by worker
        self._allowed: dict[str, set[str]] = {}  # workers by stage, where not all are
        self._last_seen = time.monotonic()

    def slots(self) -> int:
        """The threads of all suitable workers.

        Raises PipelineError after WAIT_SECONDS without one, and when the scheduler is gone.
        """
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            raise PipelineError(SCHEDULER_GONE) from error
        suitable = workers.keys() - self._unsuitable
        self._threads = {address: workers[address]["nthreads"] for address in suitable}
        if suitable:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > WAIT_SECONDS:
            reasons = "".join(f"; {name}: {why}" for name, why in self._unsuitable.items())
            raise PipelineError(
                f"expected a Dask worker that can run stages, found none in {WAIT_SECONDS} s"
                f"{reasons}; start one, docs/cluster.md"
            )
        return sum(self._threads.values())

    def submit(self, stage: PlannedStage) -> Future[Any]:
        """Submit the source text of worker.py with the job of `stage`."""
        if self._unsuitable:
            self._allowed[stage.name] = set(self._threads)
        scope = {"source": inspect.getsource(worker), "module": {"__name__": "worker"}}
        return self._client.submit(
            eval,
            RUN,
            {**scope, "job": self._project.job(stage.name)},
            key=f"{stage.name}-{uuid4().hex}",
            workers=self._allowed.get(stage.name),
            pure=False,
        )

    def collect(self, results: Mapping[str, Any]) -> Mapping[str, bool | None]:
        """Take over `results`; None for stages whose worker was unsuitable, or is gone for good."""
        for name, result in results.items():
            self._allowed.pop(name, None)
            if "unsuitable" in result:
                self._unsuitable[result["worker"]] = result["unsuitable"]
                print(f"{name}  returned by {result['worker']}: {result['unsuitable']}", flush=True)
        gone = [name for name, allowed in self._allowed.items() if not allowed & {*self._threads}]
        for name in gone:  # Dask would wait for these workers
            del self._allowed[name]
        written = {name: result["files"] for name, result in results.items() if "files" in result}
        if written:
            self._project.write_results(written)
        succeeded = {
            name: None if "unsuitable" in result else "files" in result
            for name, result in results.items()
        }
        return dict.fromkeys(gone) | succeeded


def expect_encrypted(scheduler: str) -> None:
    """Raise PipelineError for a scheduler on another machine without TLS."""
    url = urlsplit(scheduler)
    if url.scheme != "tls" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise PipelineError(
            f"CLUSTER: expected tls://host:8786 or tcp://127.0.0.1:8786, found {scheduler}: "
            "without encryption, anybody who reaches the scheduler can run code on all workers; "
            "see docs/cluster.md, or add PLAIN=1 on a network of your own"
        )


def _handle_event(event: tuple[float, Mapping[str, str]]) -> None:
    """Print that a stage has started; append its output to its log."""
    _, content = event
    stage, host = content["stage"], content.get("host")
    if host:
        print(f"{stage}  started on {host}, log in {log_path(stage)}", flush=True)
    with log_path(stage).open("w" if host else "a", encoding="utf-8") as log:
        log.write(content.get("output") or f"on {host}\n")
