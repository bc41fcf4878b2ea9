"""Stages on the workers of a Dask scheduler, which get commits by git and data by a DVC remote."""

import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from distributed import Client, Future
from dvc.repo import Repo
from dvc.utils.serialize import dump_yaml, load_yaml, loads_yaml

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.cluster import job, worker
from pipeline.cluster.schedule import SCHEDULER_GONE, log_path
from pipeline.tools import dvc_project
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import PlannedStage

CONNECT_SECONDS = 20
WAIT_SECONDS = 60  # without a worker that can run stages
# The source text of worker.py, as pickled code belongs to one version of Python.
RUN = "exec(source, module) or module['run_stage'](job)"


@dataclass
class RemoteBackend:
    """Sends a job for each stage to the workers of `client`.

    A worker that cannot run stages gets no more of them, and its stage runs on another.
    """

    client: Client
    common: Mapping[str, Any]  # of all jobs
    jobs: Mapping[str, job.Job]  # by stage
    changed: set[Path]  # since the commit
    entries: dict[str, Any]  # of dvc.lock
    suitable: dict[str, int] = field(default_factory=dict)  # threads by worker
    unsuitable: dict[str, str] = field(default_factory=dict)  # reason by worker
    restricted: dict[str, set[str]] = field(default_factory=dict)  # workers by stage
    last_seen: float = field(default_factory=time.monotonic)

    def slots(self) -> int:
        """The threads of all suitable workers.

        Raises PipelineError after WAIT_SECONDS without one, and when the scheduler is gone.
        """
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            raise PipelineError(SCHEDULER_GONE) from error
        self.suitable = {
            address: found["nthreads"]
            for address, found in workers.items()
            if address not in self.unsuitable
        }
        if self.suitable:
            self.last_seen = time.monotonic()
        elif time.monotonic() - self.last_seen > WAIT_SECONDS:
            reasons = "".join(f"; {name}: {why}" for name, why in self.unsuitable.items())
            raise PipelineError(
                f"expected a Dask worker that can run stages, found none in {WAIT_SECONDS} s"
                f"{reasons}; start one, docs/cluster.md"
            )
        return sum(self.suitable.values())

    def submit(self, stage: PlannedStage) -> Future[dict[str, Any]]:
        sent = self.jobs[stage.name].to_send(self.changed, self.entries)
        scope = {"source": inspect.getsource(worker), "module": {"__name__": "worker"}}
        if self.unsuitable:
            self.restricted[stage.name] = set(self.suitable)
        return self.client.submit(
            eval,
            RUN,
            {**scope, "job": {**self.common, **sent}},
            key=f"{stage.name}-{uuid4().hex}",
            workers=self.restricted.get(stage.name),
            pure=False,
        )

    def collect(self, results: Mapping[str, dict[str, Any]]) -> Mapping[str, bool | None]:
        """Write the outputs in git and dvc.lock, pull the other outputs."""
        for name, result in results.items():
            self.restricted.pop(name, None)
            if "unsuitable" in result:
                self.unsuitable[result["worker"]] = result["unsuitable"]
                print(f"{name}  returned by {result['worker']}: {result['unsuitable']}", flush=True)
        lost = [name for name, allowed in self.restricted.items() if not allowed & {*self.suitable}]
        for name in lost:  # all its workers are gone, and Dask would wait for them
            del self.restricted[name]
        written = {name: result["files"] for name, result in results.items() if "files" in result}
        if written:
            with dvc_project.opened(wait=True) as repo:
                self._write(written, repo)
            job.transfer("pull", list(written))
        succeeded = {
            name: None if "unsuitable" in result else name in written
            for name, result in results.items()
        }
        return dict.fromkeys(lost) | succeeded

    def _write(self, written: Mapping[str, dict[str, bytes]], repo: Repo) -> None:
        """All entries at once: DVC takes seconds to read and write the lock of many stages."""
        self.entries = load_yaml(LOCK)["stages"] if LOCK.exists() else {}
        for name, contents in written.items():
            self.entries[name] = loads_yaml(contents.pop(str(LOCK)).decode())["stages"][name]
            worker.write_files(contents)
            self.changed |= set(map(Path, contents))
        lock = {"schema": "2.0", "stages": self.entries}
        files.write(LOCK, lambda temporary: dump_yaml(temporary, lock))
        for stage in repo.index.stages:
            if stage.addressing in written:
                repo.stage_cache.save(stage)  # DVC's run cache


@contextmanager
def remote_backend(scheduler: str, stages: Sequence[PlannedStage]) -> Iterator[RemoteBackend]:
    """The workers of `scheduler`, also those that come later; their tasks end with the body.

    Raises PipelineError without a scheduler, and for what workers cannot get.
    """
    common, changed = job.common(), job.changed_files()
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise PipelineError(
            f"CLUSTER={scheduler}: expected a Dask scheduler, found none ({error}); start it, "
            "docs/cluster.md"
        ) from error
    with client:
        client.subscribe_topic(common["topic"], _handle_event)
        jobs, entries = job.prepare(stages)
        yield RemoteBackend(client, common, jobs, changed, entries)


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
