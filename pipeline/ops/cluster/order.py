"""What workers on other machines are told, and whether they can be: a commit, and what has changed
since that is some stage's own work."""

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dvc.utils.serialize import load_yaml

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.ops import dvc_project, environment, git, recorded
from pipeline.ops.cluster.stage import Result, encoded
from pipeline.page import times

# What Linux calls the instructions that params.yaml may ask for.
FLAGS = {
    "SSE41": "sse4_1",
    "AVX": "avx",
    "AVX2": "avx2",
    "AVX512_CORE": "avx512bw",
    "AVX512_CORE_BF16": "avx512_bf16",
}


def make() -> dict[str, Any]:
    """The repository's address, the commit, and the results here that the commit lacks.

    Raises PipelineError when anything else has changed since the commit, when no branch of the
    repository that workers clone has it, or when no DVC remote is set up.
    """
    commit = git.output("rev-parse", "HEAD").decode().strip()
    with dvc_project.opened(wait=True) as repo:
        outs = [Path(out.def_path) for out in repo.index.outs if not out.use_cache]
        if not repo.config["core"].get("remote"):
            raise PipelineError(
                "expected a DVC remote, by which workers get and give data; found none: "
                "docs/remotes.md says how to set one up"
            )
    changed = _changed()
    own = [*outs, recorded.LOCK, environment.RUNS, times.PATH]
    if foreign := [path for path in changed if not any(path.is_relative_to(o) for o in own)]:
        raise PipelineError(
            f"not committed: {', '.join(map(str, foreign))}; workers know commits alone: "
            "commit, and push where they clone from"
        )
    return {"repository": _repository(commit), "commit": commit, "state": _state(changed)}


def requirements() -> tuple[dict[str, str], list[str]]:
    """The libraries that stages run on, version by name, and what the processor must be able to."""
    params = params_file.read()
    sets = [params_file.at(params, "runtime"), *params_file.at(params, "arithmetic").values()]
    flags = {FLAGS[numbers["cpu_isa"]] for numbers in sets if numbers["cpu_isa"] in FLAGS}
    return {name: version for name, (version, _) in environment.pins().items()}, sorted(flags)


def expect_private(scheduler: str, *, plain: bool) -> None:
    """PipelineError for the address of a scheduler that anybody could listen to, or speak for."""
    found = urlsplit(scheduler)
    if found.scheme not in ("tcp", "tls") or not found.hostname or not found.port:
        raise PipelineError(
            f"CLUSTER: expected an address like tls://host:8786 or tcp://127.0.0.1:8786, found "
            f"{scheduler}"
        )
    if found.scheme == "tcp" and not plain and not _is_loopback(found.hostname):
        raise PipelineError(
            f"CLUSTER={scheduler}: without encryption whoever reaches the scheduler can run "
            "anything on all its machines; use tls://, docs/cluster.md, or say PLAIN=1 on a "
            "network of your own"
        )


def without_password(address: str) -> str:
    """The `address` of a repository less the name and password in it: workers have their own."""
    return re.sub(r"^(https?://)[^/@]*@", r"\1", address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _changed() -> list[Path]:
    """What differs from the commit, new files included."""
    listing = git.output("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return [Path(entry[3:].decode()) for entry in listing.split(b"\0") if entry]


def _repository(commit: str) -> str:
    """Where workers clone from: the first remote of git, which must have the `commit`."""
    remotes = git.output("remote").decode().split()
    if not remotes:
        raise PipelineError("expected a git remote, from which workers clone, found none; add one")
    git.output("fetch", "--quiet", remotes[0])
    if not git.output("branch", "--remotes", "--contains", commit).strip():
        raise PipelineError(
            f"commit {commit[:12]}: expected it in a branch of {remotes[0]}, from which workers "
            "clone, found it here alone; `git push`"
        )
    return without_password(git.output("remote", "get-url", remotes[0]).decode().strip())


def _state(changed: Iterable[Path]) -> Result:
    entries = load_yaml(recorded.LOCK)["stages"] if recorded.LOCK.exists() else {}
    kept = [path for path in changed if path != recorded.LOCK]
    return {"entry": entries, "files": encoded(kept)}
