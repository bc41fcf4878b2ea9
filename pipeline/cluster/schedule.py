"""Submits stages to Dask, which runs them in threads of this process or on other machines."""

import inspect
import platform
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from distributed import Client, Future, Security
from dvc.utils.serialize import dump_yaml, load_yaml, loads_yaml

from pipeline.cluster import worker
from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, environment, git
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import overlap
from pipeline.tools.repro import drop_stale_seeds

WAIT_SECONDS = 60  # without a worker that can run stages
# Of worker.py, whose source every version of Python compiles for itself, unlike pickled code.
RUN = "exec(source, scope := {'__name__': 'worker'}) or scope['run_stage'](job)"
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
        self._running: dict[str, Future[Any]] = {}
        self._unsuitable: set[str] = set()
        self._last_seen = time.monotonic()

    def task(self, stage: str) -> tuple[Any, ...]:
        """The arguments of Client.submit for a task that returns what `worker.run_stage` does."""
        return _run_stage, stage

    def write_results(self, results: Mapping[str, dict[str, bytes]]) -> None:
        """Take over the `files` of stages; those of children are in place."""

    def submit(self, ready: Sequence[str]) -> None:
        """Start as many of the stages `ready` as suitable workers have free threads.

        Raises PipelineError after WAIT_SECONDS without such a worker.
        """
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        # Dask gives no tasks to workers that are still starting, whose status is `init`.
        workers = [w for w in known.keys() - self._unsuitable if known[w]["status"] != "init"]
        if workers:
            self._last_seen = time.monotonic()
        else:
            self._running.clear()  # Dask keeps tasks waiting for `workers` that are gone
        if time.monotonic() - self._last_seen > WAIT_SECONDS:
            raise PipelineError(
                f"expected a suitable Dask worker, found none in {WAIT_SECONDS} s; docs/cluster.md"
            )
        options: Any = {"workers": workers, "allow_other_workers": True} if self._unsuitable else {}
        free = sum(known[name]["nthreads"] for name in workers) - len(self._running)
        for stage in [name for name in ready if name not in self._running][: max(0, free)]:
            print(f"{stage}  started, log in {log_path(stage)}", flush=True)
            key = f"{stage}-{uuid4().hex}"
            self._running[stage] = self.client.submit(*self.task(stage), key=key, **options)

    def ended(self) -> dict[str, bool]:
        """Whether each of the stages that have ended since the last call succeeded.

        Raises PipelineError without the scheduler, KilledWorker for a stage that ended workers.
        """
        if self.client.status != "running" or any(f.cancelled() for f in self._running.values()):
            raise PipelineError("the Dask scheduler is gone; start it and its workers, run again")
        results = {name: future.result() for name, future in self._running.items() if future.done()}
        if written := {name: each["files"] for name, each in results.items() if "files" in each}:
            self.write_results(written)
        for name, result in results.items():
            del self._running[name]
            if reason := result.get("unsuitable"):
                self._unsuitable.add(result["worker"])
                print(f"{name}  returned by {result['worker']}: {reason}", flush=True)
            else:
                print(f"{name}  {'ended' if name in written else 'failed'}", flush=True)
        return {n: n in written for n in results if "unsuitable" not in results[n]}


class RemoteBackend(Backend):
    """The workers of the scheduler at `address`, which get commits by git, data by a DVC remote.

    Raises PipelineError without TLS unless `plain`, and for what workers cannot get: files that are
    not committed, a commit that was not pushed, data where there is no DVC remote.
    """

    def __init__(self, address: str, *, plain: bool) -> None:
        try:
            super().__init__(Client(address, security=Security(require_encryption=not plain)))
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise PipelineError(f"CLUSTER={address}: {error} (without TLS: PLAIN=1)") from error
        listing = git.output("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        self.changed = {line[3:] for line in listing.decode().split("\0") if line}
        made = {path for path in self.changed if path.startswith("reports/")} | {str(LOCK)}
        if code := ", ".join(sorted(self.changed - made)):
            raise PipelineError(f"workers check out commits: commit and push {code} first")
        commit = git.output("rev-parse", "HEAD").decode().strip()
        url = git.output("remote", "get-url", "origin").decode().strip()
        if not git.output("branch", "--remotes", "--contains", commit, "--list", "origin/*"):
            raise PipelineError(f"workers clone origin, which has no commit {commit}: `git push`")
        self.common = {
            "commit": commit,
            # Without user name and password: workers have their own.
            "repository": re.sub(r"^(https?://)[^/@]*@", r"\1", url),
            "machine": platform.machine(),
            "topic": f"pipeline-{uuid4().hex}",  # of this run: a scheduler may have several heads
        }
        with dvc_project.opened(wait=True) as repo:
            repo.cloud.get_remote()  # DVC's error where none is configured
            self._graph = repo.index.graph
        worker.check_process(*worker.DVC, "push", "--quiet")
        self.client.subscribe_topic(self.common["topic"], _append_output)

    def task(self, stage: str) -> tuple[Any, ...]:
        """Compile worker.py and call its `run_stage` with what `stage` needs and writes."""
        node = next(node for node in self._graph if node.addressing == stage)
        deps = [Path(dep.def_path) for dep in node.deps]
        cached = [out.def_path for up in self._graph[node] for out in up.outs if out.use_cache]
        in_git = [out.def_path for out in node.outs if not out.use_cache]
        changed, inputs = (
            [path for path in paths if any(overlap(Path(path), dep) for dep in deps)]
            for paths in (self.changed, cached)
        )
        job = {
            **self.common,
            "stage": stage,
            "files": worker.read_files([*changed, str(LOCK)]),
            "inputs": inputs,
            "outputs": [*in_git, str(environment.path(stage)), str(LOCK)],
        }
        return eval, RUN, {"source": inspect.getsource(worker), "job": job}

    def write_results(self, results: Mapping[str, dict[str, bytes]]) -> None:
        """Write the outputs in git and the entries of dvc.lock, pull the other outputs.

        All at once: DVC takes seconds to read and write the lock of many stages.
        """
        with dvc_project.opened(wait=True) as repo:
            entries = read_entries()
            for name, contents in results.items():
                entries[name] = loads_yaml(contents.pop(str(LOCK)).decode())["stages"][name]
                worker.write_files(contents)
                self.changed |= set(contents)
            _write_entries(entries)
            for stage in repo.index.stages:
                if stage.addressing in results:
                    repo.stage_cache.save(stage)  # DVC's run cache
        worker.check_process(*worker.DVC, "pull", "--quiet", *results)


def read_entries() -> dict[str, Any]:
    """The entries of dvc.lock by stage, in the order of the file."""
    return load_yaml(LOCK)["stages"] if LOCK.exists() else {}


def _write_entries(entries: Mapping[str, Any]) -> None:
    content = {"schema": "2.0", "stages": entries}
    files.write(LOCK, lambda temporary: dump_yaml(temporary, content))


def sort_entries(order: Sequence[str]) -> None:
    """Sort dvc.lock by `order`, other stages last: DVC appends an entry when its stage ends."""
    with dvc_project.opened(wait=True):  # another DVC may be writing
        entries = read_entries()
        names = [name for name in dict.fromkeys([*order, *entries]) if name in entries]
        if names != list(entries):
            _write_entries({name: entries[name] for name in names})


def log_path(stage: str) -> Path:
    """The log of `stage`, in a folder that exists."""
    Path("logs").mkdir(exist_ok=True)
    return Path("logs", f"{stage}.log")


def _run_stage(stage: str) -> dict[str, Any]:
    if stage == "compare":
        drop_stale_seeds()
    with log_path(stage).open("wb") as log:
        command = (*worker.DVC, "repro", "--single-item", stage)
        status = worker.run_process(*command, output=log, poll=worker.raise_if_cancelled)
    return {} if status else {"files": {}}


def _append_output(event: tuple[float, Mapping[str, str]]) -> None:
    with log_path(event[1]["stage"]).open("a", encoding="utf-8") as log:
        log.write(event[1]["output"])
