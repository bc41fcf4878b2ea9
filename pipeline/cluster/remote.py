"""Stages on the workers of a Dask scheduler, which get commits by git and data by a DVC remote."""

import inspect
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Security
from dvc.utils.serialize import loads_yaml

from pipeline.cluster import lock, worker
from pipeline.cluster.schedule import Backend, log_path
from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, environment, git
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import overlap

# The source text of worker.py, as pickled code belongs to one version of Python.
RUN = "exec(source, module) or module['run_stage'](job)"


def connected(scheduler: str, *, plain: bool) -> Client:
    """A client of `scheduler`; PipelineError without one, or without TLS unless `plain`."""
    try:
        return Client(scheduler, security=Security(require_encryption=not plain))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise PipelineError(f"CLUSTER={scheduler}: {error} (without TLS: PLAIN=1)") from error


class RemoteBackend(Backend):
    """The workers of a scheduler, also those that come later, for the `planned` stages.

    Raises PipelineError for what workers cannot get: files that are not committed, a commit that
    was not pushed, data where there is no DVC remote.
    """

    def __init__(self, client: Client, planned: Sequence[str]) -> None:
        super().__init__(client)
        self.changed = _changed_files()
        self.common = {
            **_repository(),
            "machine": platform.machine(),
            "topic": f"pipeline-{uuid4().hex}",  # of this run: a scheduler may have several heads
        }
        with dvc_project.opened(wait=True) as repo:
            repo.cloud.get_remote()  # DVC's error where none is configured
            graph = repo.index.graph
            self._stages = {s.addressing: s for s in graph if s.addressing in planned}
            self._upstream = {name: list(graph[stage]) for name, stage in self._stages.items()}
        self._entries = lock.read_entries()
        worker.run_with_retries(worker.run_process, *worker.DVC, "push", "--quiet")
        client.subscribe_topic(self.common["topic"], _append_output)

    def task(self, stage: str) -> tuple[Any, ...]:
        """Compile and run worker.py on the worker."""
        scope = {"source": inspect.getsource(worker), "module": {"__name__": "worker"}}
        return eval, RUN, {**scope, "job": self.job(stage)}

    def job(self, name: str) -> dict[str, Any]:
        """The argument of `worker.run_stage`: files and entries of dvc.lock that `name` needs."""
        stage, upstream = self._stages[name], self._upstream[name]
        deps = {Path(dep.def_path) for dep in stage.deps}
        changed = [path for path in self.changed if not deps.isdisjoint([path, *path.parents])]
        cached = [out.def_path for found in upstream for out in found.outs if out.use_cache]
        inputs = [out for out in cached if any(overlap(Path(out), dep) for dep in deps)]
        names = [name, *(found.addressing for found in upstream)]
        entries = {each: self._entries[each] for each in names if each in self._entries}
        content = json.dumps({"schema": "2.0", "stages": entries})  # JSON is YAML
        kept = [out.def_path for out in stage.outs if not out.use_cache]
        return {
            **self.common,
            "stage": name,
            "files": {**worker.read_files(map(str, changed)), str(LOCK): content.encode()},
            "inputs": sorted(inputs),
            "outputs": [*kept, str(environment.path(name)), str(LOCK)],
        }

    def write_results(self, results: Mapping[str, dict[str, bytes]]) -> None:
        """Write the outputs in git and the entries of dvc.lock, pull the other outputs.

        All at once: DVC takes seconds to read and write the lock of many stages.
        """
        with dvc_project.opened(wait=True) as repo:
            self._entries = lock.read_entries()
            for name, contents in results.items():
                entries = loads_yaml(contents.pop(str(LOCK)).decode())["stages"]
                self._entries[name] = entries[name]
                worker.write_files(contents)
                self.changed |= set(map(Path, contents))
            lock.write_entries(self._entries)
            for stage in repo.index.stages:
                if stage.addressing in results:
                    repo.stage_cache.save(stage)  # DVC's run cache
        worker.run_with_retries(worker.run_process, *worker.DVC, "pull", "--quiet", *results)


def _append_output(event: tuple[float, Mapping[str, str]]) -> None:
    with log_path(event[1]["stage"]).open("a", encoding="utf-8") as log:
        log.write(event[1]["output"])


def _repository() -> dict[str, str]:
    """The commit and the git remote `origin`, which must have it."""
    commit = git.output("rev-parse", "HEAD").decode().strip()
    url = git.output("remote", "get-url", "origin").decode().strip()
    if not git.output("branch", "--remotes", "--contains", commit, "--list", "origin/*"):
        raise PipelineError(
            f"expected commit {commit[:12]} on origin, from which workers clone, found it only on "
            "this machine; `git push`"
        )
    # Without user name and password: workers have their own.
    return {"commit": commit, "repository": re.sub(r"^(https?://)[^/@]*@", r"\1", url)}


def _changed_files() -> set[Path]:
    """The files that differ from the commit, all of them results of stages."""
    listing = git.output("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    changed = {Path(line[3:].decode()) for line in listing.split(b"\0") if line}
    if code := sorted(p for p in changed if p != LOCK and not p.is_relative_to("reports")):
        raise PipelineError(
            f"not committed: {', '.join(map(str, code))}; workers check out commits: commit and "
            "push first"
        )
    return changed
