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
    restored: bool  # whether DVC can put lost outputs back without a run

    def reads(self, path: str) -> bool:
        """Whether `path`, or a folder it lies in, is a dependency."""
        return any(lies_in(path, dep) for dep in self.deps)

    def uses(self, leaf: str) -> bool:
        """Whether the dotted parameter `leaf` is declared, itself or by a section it is in."""
        return any(leaf == key or leaf.startswith(f"{key}.") for key in self.params)


def lies_in(path: str, place: str) -> bool:
    """Whether `path` is the file or folder `place`, or lies in that folder."""
    return path == place or path.startswith(f"{place}/")


def stages(folder: Path) -> dict[str, Stage]:
    """The stages of dvc.yaml in `folder` by name, in the order of the file."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    result = {}
    for name, body in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].items():
        if "foreach" in body:
            assert body["foreach"] == "${variants}"
            for variant, settings in params["variants"].items():
                stage = _stage(f"{name}@{variant}", _filled(body["do"], variant, settings))
                result[stage.name] = stage
        else:
            result[name] = _stage(name, _named(body, params))
    return result


def downstream(all_stages: dict[str, Stage], names: set[str]) -> set[str]:
    """`names` and every stage that reads an output of theirs, directly or not."""
    reached, todo = set(names), list(names)
    while todo:
        outs = all_stages[todo.pop()].outs
        for stage in all_stages.values():
            if stage.name not in reached and any(stage.reads(out) for out in outs):
                reached.add(stage.name)
                todo.append(stage.name)
    return reached


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The dotted names of a nested mapping's leaves; an empty mapping is a leaf too."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {
        leaf: value
        for key, child in tree.items()
        for leaf, value in leaves(child, f"{prefix}.{key}" if prefix else key).items()
    }


def _named(body: Any, params: dict[str, Any]) -> Any:
    """`body` with the values of `${page.variant}` and the like."""

    def value(match: re.Match[str]) -> str:
        return str(functools.reduce(lambda tree, key: tree[key], match[1].split("."), params))

    return yaml.safe_load(re.sub(r"\$\{([\w.]+)\}", value, yaml.safe_dump(body)))


def _filled(body: Any, variant: str, settings: dict[str, Any]) -> Any:
    """`body` with the values of `${item.NAME}` and `${key}`."""
    text = re.sub(r"\$\{item\.(\w+)\}", lambda match: str(settings[match[1]]), yaml.safe_dump(body))
    return yaml.safe_load(text.replace("${key}", variant))


def _stage(name: str, body: dict[str, Any]) -> Stage:
    plain = _flags(body.get("outs", []))
    outs = plain | _flags(body.get("plots", [])) | _flags(body.get("metrics", []))
    return Stage(
        name=name,
        command=body["cmd"],
        deps=tuple(body.get("deps", [])),
        params=tuple(body.get("params", [])),
        outs=tuple(outs),
        in_git=tuple(path for path, flags in outs.items() if flags.get("cache") is False),
        # DVC's run cache skips stages with a persistent or an uncached output.
        restored=not any(
            flags.get("persist") or flags.get("cache") is False for flags in plain.values()
        ),
    )


def _flags(entries: list[Any]) -> dict[str, Any]:
    """The flags of each output by its path."""
    return {
        path: flags
        for entry in entries
        for path, flags in (entry if isinstance(entry, dict) else {entry: {}}).items()
    }
