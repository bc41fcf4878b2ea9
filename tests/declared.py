"""The stages of dvc.yaml as DVC resolves them."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from conftest import PROJECT
from dvc.dependency import ParamsDependency
from dvc.repo import Repo


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
    with Repo(str(folder), uninitialized=True) as repo:
        return {each.name: _stage(each) for each in repo.index.stages if each.cmd}


def stages_with(params: dict[str, Any]) -> dict[str, Stage]:
    """The stages of the project's dvc.yaml with these parameters."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "params.yaml").write_text(yaml.safe_dump(params))
        shutil.copy(PROJECT / "dvc.yaml", folder)
        return stages(Path(folder))


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The dotted names of a nested mapping's leaves; an empty mapping is a leaf too."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {
        leaf: value
        for key, child in tree.items()
        for leaf, value in leaves(child, f"{prefix}.{key}" if prefix else key).items()
    }


def _stage(stage: Any) -> Stage:
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return Stage(
        name=stage.name,
        command=stage.cmd,
        deps=tuple(dep.def_path for dep in stage.deps if dep not in params),
        params=tuple(key for dep in params for key in dep.params),
        outs=tuple(out.def_path for out in stage.outs),
        in_git=tuple(out.def_path for out in stage.outs if not out.use_cache),
    )
