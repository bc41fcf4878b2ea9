"""Whether DVC would take a changed stage's outputs from its caches instead of running it.

StageCache.restore(dry=True) answers another question: it looks under the hashes of the last run,
not under those that the dependencies have now.
"""

import dataclasses
from collections.abc import Iterator, Mapping
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


@dataclasses.dataclass(frozen=True)
class Restored:
    """The outputs, with their hashes, that DVC would put back, and where it has them from."""

    source: str
    outputs: tuple[Output, ...]


def find(
    stage: Stage, hashes: Mapping[str, Output | None], *, inputs_changed: bool
) -> Restored | None:
    """What would be restored of `stage`; None when its command has to run.

    `hashes` has the dependencies (by absolute path) that earlier stages make anew; a None among
    them means that the answer is what could be restored, if that dependency turned out to suit.
    """
    if stage.is_callback or stage.always_changed or not (stage.cmd and stage.deps and stage.outs):
        return None
    if any(output.persist for output in stage.outs):
        return None  # DVC keeps no run of such a stage and puts none back
    open_deps = {dep.def_path for dep in stage.deps if hashes.get(dep.fs_path, dep) is None}
    if not inputs_changed and all(output.hash_info for output in stage.outs):
        restored = _available(stage, "the cache", to_single_stage_lockfile(stage))
        if restored or not open_deps:
            return restored
    try:
        wanted = _wanted(stage, hashes)
    except DvcException:  # a dependency or parameter is missing: the run will fail for it
        return None
    for entry in _runs(stage, wanted, open_deps):
        if restored := _available(stage, "the run cache", entry):
            return restored
    return None


def _wanted(stage: Stage, hashes: Mapping[str, Output | None]) -> dict[str, Any]:
    """The lock entry of `stage` with the dependencies as they will be when its turn comes."""
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency) or dep.fs_path not in hashes:
            dep.save()  # on this object only; nothing is written
        elif output := hashes[dep.fs_path]:
            dep.hash_info, dep.meta = output.hash_info, output.meta
    return dict(to_single_stage_lockfile(stage))


def _runs(stage: Stage, wanted: Mapping[str, Any], open_deps: set[str]) -> Iterator[dict[str, Any]]:
    """The entries of the run cache with the inputs of `wanted`; `open_deps` are not compared.

    DVC finds them by the hash of all inputs and takes the newest. With an input unknown, every
    entry has to be read, which takes a millisecond each.
    """
    cache = Path(stage.repo.stage_cache.cache_dir)
    if open_deps:
        paths = sorted(cache.glob("*/*/*"))
    else:
        key = _get_cache_hash(dict(wanted), key=True)
        newest = sorted(cache.glob(f"{key[:2]}/{key}/*"), key=lambda path: path.stat().st_mtime)
        paths = newest[-1:]
    for path in paths:
        with suppress(DvcException, KeyError, TypeError):  # a damaged entry is none
            entry = load_yaml(path)
            if _key(entry, open_deps) == _key(wanted, open_deps):
                yield entry


def _key(entry: Mapping[str, Any], open_deps: set[str]) -> tuple[Any, ...]:
    """What decides whether DVC takes two runs for the same."""
    deps = {dep["path"]: dep["md5"] for dep in entry["deps"] if dep["path"] not in open_deps}
    return (
        entry["cmd"],
        deps,
        entry.get("params", {}),
        sorted(output["path"] for output in entry["outs"]),
    )


def _available(stage: Stage, source: str, entry: Mapping[str, Any]) -> Restored | None:
    """The outputs of `entry`, if DVC's cache has every one of them."""
    earlier = stage.repo.stage_cache._create_stage(entry, wdir=stage.wdir)
    return Restored(source, tuple(earlier.outs)) if earlier.outs_cached() else None


def remote_with(stage: Stage) -> str | None:
    """The default remote's name if it has all that DVC's cache lacks of the outputs of `stage`.

    `dvc repro` does not take it from there by itself, but `dvc pull` would. Asked only when
    something is lacking, as it goes over the network; a remote that does not answer has nothing.
    """
    name: str | None = stage.repo.config["core"].get("remote")
    lacking = [out for out in stage.outs if out.use_cache and out.changed_cache()]
    if not name or not lacking or not all(out.can_push and out.hash_info for out in lacking):
        return None
    try:
        remote = stage.repo.cloud.get_remote_odb(name, "plan")
        return name if all(remote.exists(out.hash_info.value) for out in lacking) else None
    except Exception:  # each kind of storage has its own errors
        return None
