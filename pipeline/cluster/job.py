"""The job of a remote stage: a commit, the files that have changed since, and DVC's entries."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from dvc.repo import Repo
from dvc.stage import Stage
from dvc.utils.serialize import load_yaml

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.cluster.worker import DVC, read_files, run_process, run_with_retries
from pipeline.tools import dvc_project, environment, git
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import PlannedStage

# The names that Linux has for the instruction sets of oneDNN.
CPU_FLAGS = {"SSE41": "sse4_1", "AVX512_CORE": "avx512bw", "AVX512_CORE_BF16": "avx512_bf16"}


@dataclass(frozen=True)
class Job:
    """What a stage reads and writes."""

    stage: str
    deps: frozenset[Path]
    upstream: tuple[str, ...]
    inputs: tuple[str, ...]  # outputs of upstream stages in DVC's cache
    outputs: tuple[str, ...]  # in git
    cached: bool  # whether it has outputs in DVC's cache

    def to_send(self, changed: Collection[Path], entries: Mapping[str, Any]) -> dict[str, Any]:
        """The job with those `changed` files and entries of dvc.lock that the stage needs."""
        read = [path for path in changed if not self.deps.isdisjoint([path, *path.parents])]
        needed = {n: entries[n] for n in (*self.upstream, self.stage) if n in entries}
        lock = json.dumps({"schema": "2.0", "stages": needed}).encode()  # JSON is YAML
        return {
            "stage": self.stage,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "cached": self.cached,
            "files": read_files(read) | {str(LOCK): lock},
        }


def common() -> dict[str, Any]:
    """What all jobs share. Raises PipelineError when workers could not clone the commit."""
    commit = git.output("rev-parse", "HEAD").decode().strip()
    remote = git.output("remote").decode().partition("\n")[0]
    if not remote:
        raise PipelineError("expected a git remote, from which workers clone, found none; add one")
    git.output("fetch", "--quiet", remote)
    branches = ("branch", "--remotes", "--contains", commit, "--list", f"{remote}/*")
    if not git.output(*branches).strip():
        raise PipelineError(
            f"expected commit {commit[:12]} on {remote}, from which workers clone, found it only "
            "on this machine; `git push`"
        )
    params = params_file.read()
    sections = (params["runtime"], *params["arithmetic"].values())
    flags = {CPU_FLAGS.get(s["cpu_isa"], s["cpu_isa"].lower()) for s in sections} - {"default"}
    url = git.output("remote", "get-url", remote).decode().strip()
    return {
        "repository": without_password(url),
        "commit": commit,
        "cpu_flags": sorted(flags),
        "topic": f"pipeline-{uuid4().hex}",  # of this run, as a scheduler may have several heads
    }


def without_password(url: str) -> str:
    """The `url` of a repository without user name and password: workers have their own."""
    return re.sub(r"^(https?://)[^/@]*@", r"\1", url)


def changed_files() -> set[Path]:
    """The files that differ from the commit.

    Raises PipelineError when some of them are no results of stages: workers check out commits.
    """
    listing = git.output("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    changed = {Path(line[3:].decode()) for line in listing.split(b"\0") if line}
    others = sorted(p for p in changed if p != LOCK and not p.is_relative_to("reports"))
    if others:
        raise PipelineError(
            f"not committed: {', '.join(map(str, others))}; workers check out commits: commit and "
            "push first"
        )
    return changed


def prepare(stages: Sequence[PlannedStage]) -> tuple[dict[str, Job], dict[str, Any]]:
    """The jobs of `stages`, whose inputs from other stages are pushed, and dvc.lock's entries.

    Raises PipelineError without a DVC remote.
    """
    planned = {stage.name for stage in stages}
    with dvc_project.opened(wait=True) as repo:
        if not repo.config["core"].get("remote"):
            raise PipelineError(
                "expected a DVC remote, through which workers exchange data, found none; "
                "docs/remotes.md"
            )
        jobs = {s.addressing: _job(s, repo) for s in repo.index.stages if s.addressing in planned}
        entries = load_yaml(LOCK)["stages"] if LOCK.exists() else {}
    upstream = {name for job in jobs.values() if job.inputs for name in job.upstream}
    if made := sorted(upstream - planned):
        transfer("push", made)
    return jobs, entries


def _job(stage: Stage, repo: Repo) -> Job:
    upstream = sorted(repo.index.graph[stage], key=lambda found: found.addressing)
    deps = [Path(dep.def_path) for dep in stage.deps]
    outs = [Path(out.def_path) for found in upstream for out in found.outs if out.use_cache]
    read = [o for o in outs if any(o.is_relative_to(d) or d.is_relative_to(o) for d in deps)]
    kept = [out.def_path for out in stage.outs if not out.use_cache]
    return Job(
        stage=stage.addressing,
        deps=frozenset(deps),
        upstream=tuple(found.addressing for found in upstream),
        inputs=tuple(map(str, read)),
        outputs=(*kept, str(environment.path(stage.addressing)), str(LOCK)),
        cached=any(out.use_cache for out in stage.outs),
    )


def transfer(direction: str, stages: Sequence[str]) -> None:
    """Have DVC `push` or `pull` the outputs of `stages`. Raises PipelineError."""
    try:
        run_with_retries(run_process, *DVC, direction, "--quiet", *stages)
    except RuntimeError as error:
        raise PipelineError(f"{error}; repair the DVC remote") from error
