"""Why DVC takes a stage for changed, in the user's terms, and what could spare it the run."""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.stage import Stage
from dvc.stage.cache import _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.serialize import load_yaml
from dvc_data.hashfile.hash import file_md5
from dvc_data.hashfile.hash_info import HashInfo

# How an output differs from dvc.lock, in DVC's words and the user's.
WORDS = {"deleted": "missing", "modified": "changed", "not in cache": "not in DVC's cache"}


def changes(
    stage: Stage, recorded: Iterable[HashInfo], waits: Collection[str]
) -> tuple[list[str], list[str]]:
    """Why DVC takes `stage` for changed: on the side of its inputs, and on that of its outputs.

    Its dependencies have the hashes to come, but for those that have to wait, and had those
    `recorded` in dvc.lock.
    """
    inputs = ["command changed"] if stage.changed_stage() else []
    if stage.always_changed or stage.is_callback:
        inputs.append("runs every time")
    for dep, before in zip(stage.deps, recorded, strict=True):
        if isinstance(dep, ParamsDependency):
            inputs += _parameters(before.value or {}, dep.hash_info.value)
        elif dep.def_path not in waits and dep.hash_info != before:
            inputs.append(f"{dep} {_difference(dep, before)}")
    states = [(out.workspace_status() or out.status()).items() for out in stage.outs]
    return inputs, [f"{name} {WORDS[state]}" for items in states for name, state in items]


def _difference(dep: Output, before: HashInfo) -> str:
    """What became of a file or folder whose hash in dvc.lock is `before`."""
    if not dep.hash_info:
        return "missing"
    if not before:
        return "added to the dependencies"
    if dep.isfile() and file_md5(dep.fs_path, dep.fs, name="md5-dos2unix") == before.value:
        return "changed (line ends: CRLF)"
    return "changed"


def _parameters(before: Any, now: Any) -> Iterator[str]:
    """The leaves of the parameter file that differ from dvc.lock."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    for leaf in {**old, **new}:
        if leaf not in new:
            yield f"{leaf} removed"
        elif leaf not in old:
            yield f"{leaf} added: {_text(new[leaf])}"
        elif old[leaf] != new[leaf]:
            yield f"{leaf} {_text(old[leaf])} → {_text(new[leaf])}"


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():  # dvc.utils.flatten drops empty mappings, which count
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def restorable(
    stage: Stage, waits: Collection[str], *, unchanged: bool
) -> tuple[str, Mapping[str, Any]] | None:
    """Where DVC would take the outputs from, and the run that left them; None: it runs the stage.

    With dependencies to wait for: what could be restored, if they turned out to suit.
    StageCache.restore(dry=True) looks under the hashes of the last run instead of those to come.
    """
    if not stage.cmd or any(out.persist for out in stage.outs):
        return None  # DVC keeps no run of such a stage and puts none back
    now, cache = to_single_stage_lockfile(stage), stage.repo.stage_cache
    key = _key(now, waits)
    runs = [("the cache", now)] if unchanged and all(out.hash_info for out in stage.outs) else []
    found = Path(cache.cache_dir).glob("*/*/*" if waits else f"*/{key}/*")
    newest = sorted(found, key=os.path.getmtime, reverse=True)
    for path in newest if waits else newest[:1]:
        with suppress(DvcException, AttributeError, KeyError, TypeError):  # it is damaged
            if _key(entry := load_yaml(path), waits) == key:
                runs.append(("the run cache", entry))
    for source, run in runs:
        if cache._create_stage(run, wdir=stage.wdir).outs_cached():
            return source, run
    return None


def known_inputs(stage: Stage) -> str:
    """DVC's hash of the command of `stage` and of its dependencies, less those to wait for."""
    waits = [dep.def_path for dep in stage.deps if not dep.hash_info]
    return _key(to_single_stage_lockfile(stage), waits)


def _key(run: Mapping[str, Any], waits: Collection[str]) -> str:
    """DVC's hash of what a run was made from, less the dependencies to wait for."""
    deps = [dep for dep in run.get("deps", ()) if dep["path"] not in waits]
    return _get_cache_hash({**run, "deps": deps}, key=True)


def remote(stage: Stage) -> tuple[str, ...]:
    """A hint where the default remote has all that DVC's cache lacks of the outputs of `stage`.

    `dvc repro` takes nothing from there by itself. A remote that does not answer has nothing.
    """
    lacking = [out.hash_info.value for out in stage.outs if out.use_cache and out.changed_cache()]
    with suppress(Exception):  # each kind of storage has its own errors
        store = stage.repo.cloud.get_remote_odb(command="plan")
        if lacking and all(map(store.exists, lacking)):
            name = stage.repo.config["core"]["remote"]
            return (f"`dvc pull` would bring it from remote {name} without a run",)
    return ()
