"""Stages on the workers of a Dask scheduler, which get commits by git, data by a DVC remote."""

import contextlib
import inspect
import logging
import platform
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, Security
from distributed.exceptions import WorkerStartTimeoutError
from dvc.utils.serialize import loads_yaml

from pipeline.cluster import worker
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.tools import environment, repository
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import overlap
from pipeline.tools.repository import git
from pipeline.tools.repro import log_path

WAIT_SECONDS = 60  # without a worker
SCHEDULER_GONE = "the Dask scheduler is gone; start it and its workers, run again"
# Of worker.py, whose source every version of Python compiles for itself, unlike pickled code.
RUN = "exec(source, scope := {'__name__': 'worker'}) or scope['run_stage'](job)"


class RemoteBackend(contextlib.ExitStack):
    """The workers of the scheduler at `address`.

    Raises PipelineError without TLS unless `plain`, and for what workers cannot get: files that are
    not committed, a commit that was not pushed, data where there is no DVC remote.
    """

    def __init__(self, address: str, *, plain: bool) -> None:
        super().__init__()
        logging.disable()  # what matters of Dask's messages is printed
        try:
            client = Client(address, security=Security(require_encryption=not plain))
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise PipelineError(f"CLUSTER={address}: {error} (without TLS: PLAIN=1)") from error
        self._client = self.enter_context(client)
        listing = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        self.changed = {line[3:] for line in listing.decode().split("\0") if line}
        made = {path for path in self.changed if path.startswith("reports/")} | {str(LOCK)}
        if code := ", ".join(sorted(self.changed - made)):
            raise PipelineError(f"workers check out commits: commit and push {code} first")
        commit = git("rev-parse", "HEAD").decode().strip()
        url = git("remote", "get-url", "origin").decode().strip()
        if not git("branch", "--remotes", "--contains", commit, "--list", "origin/*"):
            raise PipelineError(f"workers clone origin, which has no commit {commit}: `git push`")
        self.common = {
            "commit": commit,
            # Without user name and password: workers have their own.
            "repository": re.sub(r"^(https?://)[^/@]*@", r"\1", url),
            "machine": platform.machine(),
            "topic": f"pipeline-{uuid4().hex}",  # of this run: a scheduler may have several heads
        }
        with repository.opened(wait=True) as repo:
            repo.cloud.get_remote()  # DVC's error where none is configured
            self._graph = repo.index.graph
        worker.check_process(*worker.DVC, "push")
        self._running: dict[str, Future[Any]] = {}
        self._client.subscribe_topic(self.common["topic"], _append_output)

    def submit(self, ready: Sequence[str]) -> list[str]:
        """Start as many of the stages `ready` as workers have free threads; which ones.

        Raises PipelineError after WAIT_SECONDS without a worker.
        """
        self._check_connection()
        try:
            self._client.wait_for_workers(1, timeout=WAIT_SECONDS)
            # Not `scheduler_info`: Dask replaces that every 2 s by one without workers.
            known = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        except WorkerStartTimeoutError as error:
            raise PipelineError(f"expected a Dask worker: {error}; docs/cluster.md") from error
        except OSError as error:
            raise PipelineError(SCHEDULER_GONE) from error
        # Dask gives no tasks to workers that are still starting, whose status is `init`.
        threads = sum(each["nthreads"] for each in known.values() if each["status"] != "init")
        waiting = [name for name in ready if name not in self._running]
        started = waiting[: max(0, threads - len(self._running))]
        for stage in started:
            key = f"{stage}-{uuid4().hex}"
            self._running[stage] = self._client.submit(*self.task(stage), key=key)
        return started

    def ended(self) -> dict[str, bool]:
        """Whether each of the stages that have ended since the last call succeeded.

        Raises PipelineError without the scheduler, and for a stage that ended several workers.
        """
        time.sleep(worker.POLL_SECONDS)
        self._check_connection()
        try:  # A future in a local variable may outlive this call: Dask would keep its result.
            results = {name: f.result() for name, f in self._running.items() if f.done()}
        except KilledWorker as error:
            raise PipelineError(str(error)) from error
        if written := {name: contents for name, contents in results.items() if contents}:
            self.write_results(written)
        for name in results:
            del self._running[name]
        return {name: name in written for name in results}

    def _check_connection(self) -> None:
        if self._client.status != "running" or any(f.cancelled() for f in self._running.values()):
            raise PipelineError(SCHEDULER_GONE)

    def task(self, stage: str) -> tuple[Any, ...]:
        """Compile worker.py and call its `run_stage` with what `stage` needs and writes."""
        node = next(node for node in self._graph if node.addressing == stage)
        deps = [Path(dep.def_path) for dep in node.deps]
        cached = [out.def_path for up in self._graph[node] for out in up.outs if out.use_cache]
        in_git = [out.def_path for out in node.outs if not out.use_cache]
        changed, inputs = (
            [path for path in group if any(overlap(Path(path), dep) for dep in deps)]
            for group in (self.changed, cached)
        )
        time_path = paths.training_time(environment.variant_of(stage))
        records = [str(environment.path(stage)), str(time_path)]
        job = {
            **self.common,
            "stage": stage,
            "files": worker.read_files([*changed, *records, str(LOCK)]),
            "inputs": inputs,
            "outputs": [*in_git, *records, str(LOCK)],
        }
        return eval, RUN, {"source": inspect.getsource(worker), "job": job}

    def write_results(self, results: Mapping[str, dict[str, bytes]]) -> None:
        """Write the outputs in git and the entries of dvc.lock, pull the other outputs.

        All at once: DVC takes seconds to read and write the lock of many stages.
        """
        with repository.opened(wait=True) as repo:
            entries = repository.read_entries()
            for name, contents in results.items():
                entries[name] = loads_yaml(contents.pop(str(LOCK)).decode())["stages"][name]
                worker.write_files(contents)
                self.changed |= set(contents)
            repository.write_entries(entries)
            for stage in repo.index.stages:
                if stage.addressing in results:
                    repo.stage_cache.save(stage)  # DVC's run cache
        worker.check_process(*worker.DVC, "pull", *results)


def _append_output(event: tuple[float, Mapping[str, str]]) -> None:
    with log_path(event[1]["stage"]).open("a", encoding="utf-8") as log:
        log.write(event[1]["output"])
