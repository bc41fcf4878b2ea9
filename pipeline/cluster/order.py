"""What workers on other machines are told, and whether they can be: a commit, and what has changed
since that is some stage's own work."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dvc.utils.serialize import load_yaml

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.cluster import here
from pipeline.cluster.jobs import repro
from pipeline.cluster.stage import Result, encoded
from pipeline.page import training_times
from pipeline.tools import dvc_project, environment, git, recorded
from pipeline.tools.plan_stages import Plan, Status
from pipeline.tools.plan_stages import make as make_plan

# What Linux calls the instructions that params.yaml may ask for.
FLAGS = {
    "SSE41": "sse4_1",
    "AVX": "avx",
    "AVX2": "avx2",
    "AVX512_CORE": "avx512bw",
    "AVX512_CORE_BF16": "avx512_bf16",
}


def make(folder: Path = Path(), *, also: Sequence[Path] = ()) -> dict[str, Any]:
    """The repository's address, the commit, and what has changed in `folder` since.

    Raises PipelineError when that is more than results and the files that may change `also`, when
    no branch of the repository that workers clone has the commit, or when no DVC remote is set up.
    """
    commit = git.output("rev-parse", "HEAD", folder=folder).decode().strip()
    with dvc_project.opened(folder, wait=True) as repo:
        outs = [Path(out.def_path) for out in repo.index.outs if not out.use_cache]
        if not repo.config["core"].get("remote"):
            raise PipelineError(
                "expected a DVC remote, by which workers get and give data; found none: "
                "docs/remotes.md says how to set one up"
            )
    changed = _changed(folder)
    own = [*outs, recorded.LOCK, environment.RUNS, training_times.PATH, *also]
    if foreign := [path for path in changed if not any(path.is_relative_to(o) for o in own)]:
        raise PipelineError(
            f"not committed: {', '.join(map(str, foreign))}; workers know commits alone: "
            "commit, and push where they clone from"
        )
    state = _state(folder, changed)
    return {"repository": _repository(commit), "commit": commit, "state": state}


def restored(targets: Iterable[str], folder: Path = Path()) -> Plan:
    """The plan in `folder` once DVC has put back there what it can without a run.

    Workers have none of the runs that DVC's cache remembers here.
    """
    plan = make_plan(targets, root=folder)
    if back := plan.having(Status.RESTORED):
        if here.children.run(
            repro("--quiet", "--single-item", *(s.stage for s in back)), folder=folder
        ):
            raise PipelineError("DVC cannot put back what it has; mend that")
        plan = make_plan(targets, root=folder)
    return plan


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


def _changed(folder: Path) -> list[Path]:
    """What differs from the commit in `folder`, new files included."""
    status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    listing = git.output(*status, folder=folder)
    found = [Path(entry[3:].decode()) for entry in listing.split(b"\0") if entry]
    # What DVC packs with a queued experiment may hold a token, and is for nobody else.
    return [path for path in found if not path.is_relative_to(".dvc/tmp")]


def _repository(commit: str) -> str:
    """Where workers clone from: the first remote of git, which must have the `commit`."""
    remotes = git.output("remote").decode().split()
    if not remotes:
        raise PipelineError("expected a git remote, from which workers clone, found none; add one")
    holding = ("branch", "--remotes", "--contains", commit, "--list", f"{remotes[0]}/*")
    if not git.output(*holding).strip():
        git.output("fetch", "--quiet", remotes[0])  # perhaps pushed from elsewhere
    if not git.output(*holding).strip():
        raise PipelineError(
            f"commit {commit[:12]}: expected it in a branch of {remotes[0]}, from which workers "
            "clone, found it here alone; `git push`"
        )
    return without_password(git.output("remote", "get-url", remotes[0]).decode().strip())


def _state(folder: Path, changed: Sequence[Path]) -> Result:
    """What `folder` has and the commit has not, as if a stage had given it."""
    entries = load_yaml(folder / recorded.LOCK)["stages"] if recorded.LOCK in changed else {}
    kept = [path for path in changed if path != recorded.LOCK]
    return {"entry": entries, "files": encoded(kept, folder)}
