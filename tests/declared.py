"""The stages of dvc.yaml, parsed without DVC."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Stage:
    """A stage after expanding `foreach`: `train@final`, not `train`."""

    name: str
    command: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]
    in_git: tuple[str, ...]  # those of outs that DVC does not cache

    def reads(self, path: str) -> bool:
        """Whether `path`, or a folder it lies in, is a dependency."""
        return any(lies_in(path, dep) for dep in self.deps)

    def uses(self, leaf: str) -> bool:
        """Whether the dotted parameter `leaf` is declared, itself or by a section it is in."""
        return any(f"{leaf}.".startswith(f"{key}.") for key in self.params)


def lies_in(path: str, parent: str) -> bool:
    """Whether `path` is the file or folder `parent`, or lies in that folder."""
    return f"{path}/".startswith(f"{parent}/")


def stages(folder: Path) -> dict[str, Stage]:
    """The stages of dvc.yaml in `folder` by name, in the order of the file."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    result = {}
    for name, body in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].items():
        if "foreach" not in body:
            result[name] = _stage(name, _resolve(body, params))
            continue
        assert body["foreach"] == "${variants}"
        for variant, settings in params["variants"].items():
            full = f"{name}@{variant}"
            result[full] = _stage(full, _resolve(body["do"], {"key": variant, "item": settings}))
    return result


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The dotted names of a nested mapping's leaves; an empty mapping is a leaf too."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {
        leaf: value
        for key, child in tree.items()
        for leaf, value in leaves(child, f"{prefix}.{key}" if prefix else key).items()
    }


def _resolve(body: Any, values: dict[str, Any]) -> Any:
    """`body` with `${page.variant}`, `${item.network}` and the like replaced by their values."""

    def value(match: re.Match[str]) -> str:
        return str(functools.reduce(lambda tree, key: tree[key], match[1].split("."), values))

    return yaml.safe_load(re.sub(r"\$\{([\w.]+)\}", value, yaml.safe_dump(body)))


def _stage(name: str, body: dict[str, Any]) -> Stage:
    entries = [entry for kind in ("outs", "plots", "metrics") for entry in body.get(kind, [])]
    flags = {
        path: options
        for entry in entries
        for path, options in (entry if isinstance(entry, dict) else {entry: {}}).items()
    }
    return Stage(
        name=name,
        command=body["cmd"],
        deps=tuple(body.get("deps", [])),
        params=tuple(body.get("params", [])),
        outs=tuple(flags),
        in_git=tuple(path for path, options in flags.items() if options.get("cache") is False),
    )
