"""Variants that differ in their seed alone: one row of the comparison."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def group_seeds(variants: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The names of `variants`, grouped where they differ in their seed alone, by rising seed.

    Groups are in the order of their names: DVC does not track the order in params.yaml.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(variants, key=lambda name: (variants[name]["seed"], name)):
        settings = {key: value for key, value in variants[name].items() if key != "seed"}
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(name)
    return sorted(map(tuple, groups.values()))


def further_seeds(variants: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """All but the first variant of each group, which `make seeds` trains, not `make repro`."""
    return [name for group in group_seeds(variants) for name in group[1:]]


def progress_note(ended: Sequence[str], variants: Mapping[str, Mapping[str, Any]]) -> str:
    """How many groups of all `variants` have one that has `ended`; empty for none."""
    groups = group_seeds({name: variants[name] for name in ended})
    return f"{len(groups)} of {len(group_seeds(variants))} variants so far" if ended else ""
