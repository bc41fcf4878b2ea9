"""Why DVC takes a stage for changed, in the user's terms: one short text a reason."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.output import Output
from dvc.stage import Stage


def inputs(stage: Stage, hashes: Mapping[str, Output | None]) -> tuple[str, ...]:
    """The reasons on the side of the command, the parameters and the dependencies.

    `hashes` has the dependencies (by absolute path) that earlier stages make anew: compared by
    the output that will be there, or passed over when that is None, not known yet.
    """
    if not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        return ("never run",)
    reasons = ["command changed"] if stage.changed_stage() else []
    if stage.always_changed or stage.is_callback:
        reasons.append("runs every time")
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            reasons += _parameters(dep)
        elif dep.fs_path not in hashes:
            reasons += _file(dep, "added to the dependencies")
        elif (output := hashes[dep.fs_path]) and output.hash_info != dep.hash_info:
            reasons.append(f"{dep} changes")
    return tuple(reasons)


def outputs(stage: Stage) -> tuple[str, ...]:
    """The reasons on the side of the outputs; none for a stage that never ran."""
    if not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        return ()
    return tuple(reason for output in stage.outs for reason in _output(output))


def _file(item: Output, unrecorded: str) -> list[str]:
    """How the file or folder of a dependency or output differs from dvc.lock."""
    if not item.exists:
        return [f"{item} missing"]
    if not item.hash_info:
        return [f"{item} {unrecorded}"]
    return [f"{item} changed"] if item.changed_checksum() else []


def _output(output: Output) -> list[str]:
    reasons = _file(output, "added to the outputs")
    if not reasons and output.use_cache and output.changed_cache():
        return [f"{output} not in DVC's cache"]
    return reasons


def _parameters(dep: ParamsDependency) -> Iterator[str]:
    """The leaves of the parameter file that differ from dvc.lock."""
    recorded: dict[str, Any] = dep.hash_info.value or {}
    current = dep.read_params()
    for key in dep.params or sorted({*recorded, *current}):
        if key not in current:
            yield f"{key} missing from {dep}"
        elif key not in recorded or recorded[key] != current[key]:
            old = _leaves(key, recorded[key]) if key in recorded else {}
            new = _leaves(key, current[key])
            changes = [_change(leaf, old, new) for leaf in {**old, **new}]
            yield from filter(None, changes)
            if not any(changes):
                yield f"{key} changed"  # an empty mapping came or went


def _leaves(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {key: value}
    return {leaf: x for name in value for leaf, x in _leaves(f"{key}.{name}", value[name]).items()}


def _change(leaf: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    if leaf not in new:
        return f"{leaf} removed"
    if leaf not in old:
        return f"{leaf} added: {_text(new[leaf])}"
    if old[leaf] == new[leaf]:
        return None
    return f"{leaf} {_text(old[leaf])} → {_text(new[leaf])}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
