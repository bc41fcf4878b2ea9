"""What remote workers need of this project, and what they return: files and entries of dvc.lock."""

import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from dvc.utils.serialize import dump_yaml, load_yaml, loads_yaml

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.cluster import worker
from pipeline.tools import dvc_project, environment, git
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import overlap


class Project:
    """What workers need of this project to run the `planned` stages.

    Raises PipelineError where they cannot get it: files that are not committed, a commit that was
    not pushed, no DVC remote.
    """

    def __init__(self, planned: set[str]) -> None:
        self.changed = _changed_files()
        self.common = {
            **_repository(),
            "machine": platform.machine(),
            "topic": f"pipeline-{uuid4().hex}",  # of this run: a scheduler may have several heads
        }
        with dvc_project.opened(wait=True) as repo:
            if not repo.config["core"].get("remote"):
                raise PipelineError(
                    "expected a DVC remote, through which workers exchange data, found none; "
                    "docs/remotes.md"
                )
            graph = repo.index.graph
            self._stages = {s.addressing: s for s in graph if s.addressing in planned}
            self._upstream = {name: list(graph[stage]) for name, stage in self._stages.items()}
        self._entries = load_yaml(LOCK)["stages"] if LOCK.exists() else {}

    def push_inputs(self) -> None:
        """Push the outputs of other stages that the planned ones depend on."""
        upstream = {stage.addressing for stages in self._upstream.values() for stage in stages}
        if made := sorted(upstream - self._stages.keys()):
            _transfer("push", made)

    def job(self, name: str) -> dict[str, Any]:
        """The argument of `worker.run_stage`: files and entries of dvc.lock that `name` needs."""
        stage, upstream = self._stages[name], self._upstream[name]
        deps = {Path(dep.def_path) for dep in stage.deps}
        changed = [path for path in self.changed if not deps.isdisjoint([path, *path.parents])]
        cached = [out.def_path for found in upstream for out in found.outs if out.use_cache]
        inputs = [out for out in cached if any(overlap(Path(out), dep) for dep in deps)]
        names = [name, *(found.addressing for found in upstream)]
        entries = {each: self._entries[each] for each in names if each in self._entries}
        lock = json.dumps({"schema": "2.0", "stages": entries})  # JSON is YAML
        kept = [out.def_path for out in stage.outs if not out.use_cache]
        return {
            **self.common,
            "stage": name,
            "files": {**worker.read_files(changed), str(LOCK): lock.encode()},
            "inputs": sorted(inputs),
            "outputs": [*kept, str(environment.path(name)), str(LOCK)],
        }

    def write_results(self, results: Mapping[str, dict[str, bytes]]) -> None:
        """Write the outputs in git and the entries of dvc.lock, pull the other outputs.

        All at once: DVC takes seconds to read and write the lock of many stages.
        """
        with dvc_project.opened(wait=True) as repo:
            self._entries = load_yaml(LOCK)["stages"] if LOCK.exists() else {}
            for name, contents in results.items():
                lock = loads_yaml(contents.pop(str(LOCK)).decode())
                self._entries[name] = lock["stages"][name]
                worker.write_files(contents)
                self.changed |= set(map(Path, contents))
            content = {"schema": "2.0", "stages": self._entries}
            files.write(LOCK, lambda temporary: dump_yaml(temporary, content))
            for stage in repo.index.stages:
                if stage.addressing in results:
                    repo.stage_cache.save(stage)  # DVC's run cache
        _transfer("pull", list(results))


def without_password(url: str) -> str:
    """The `url` of a repository without user name and password: workers have their own."""
    return re.sub(r"^(https?://)[^/@]*@", r"\1", url)


def _repository() -> dict[str, str]:
    """The commit and the first git remote, which must have it."""
    commit = git.output("rev-parse", "HEAD").decode().strip()
    remote = git.output("remote").decode().partition("\n")[0]
    if not remote:
        raise PipelineError("expected a git remote, from which workers clone, found none; add one")
    branches = ("branch", "--remotes", "--contains", commit, "--list", f"{remote}/*")
    if not git.output(*branches).strip():
        raise PipelineError(
            f"expected commit {commit[:12]} on {remote}, from which workers clone, found it only "
            "on this machine; `git push`"
        )
    url = git.output("remote", "get-url", remote).decode().strip()
    return {"commit": commit, "repository": without_password(url)}


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


def _transfer(direction: str, stages: Sequence[str]) -> None:
    """Have DVC push or pull the outputs of `stages`."""
    try:
        worker.run_with_retries(worker.run_process, *worker.DVC, direction, "--quiet", *stages)
    except RuntimeError as error:
        raise PipelineError(f"{error}; repair the DVC remote") from error
