"""Each stage but fetch reads just the parameters and files that dvc.yaml declares."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import backbone_file
import declared
import pytest
import study
import workspace
import yaml
from conftest import PROJECT

from pipeline.__main__ import STAGES
from pipeline.core.params import ConfigModel, lookup, read_section
from pipeline.datasets.backbones import BACKBONES

# One variant of each network and optimizer: dvc.yaml declares the same for all.
KINDS = ("baseline", "sgd", "fast", "fine_tuned")
PARAMS = study.with_fine_tuned(yaml.safe_load((PROJECT / "params.yaml").read_text()))
GRAPH = {
    name: stage
    for name, stage in declared.stages_with(PARAMS).items()
    if name != "fetch" and name.partition("@")[2] in ("", *KINDS, *PARAMS["backbones"])
}


class Reads(NamedTuple):
    """Fields of params.yaml, and data files by their path in the project."""

    fields: set[str]
    files: set[str]


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> dict[str, Reads]:
    """The reads of each stage in a run of the whole pipeline."""
    folder = tmp_path_factory.mktemp("reads")
    study.prepare(folder, steps=5, epochs=1, variants=KINDS)
    params = workspace.read_params(folder)
    params["temperatures"] = dict.fromkeys(params["temperatures"])  # fitted
    workspace.write_params(folder, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(BACKBONES, backbone_file.NAME, backbone_file.make_backbone()[0])
        patch.setattr("pipeline.datasets.config.Cifar10Config.model_copy", lambda own, **_: own)
        fields, opened = _spy_on_fields(patch), _spy_on_files(folder)
        reads = {}
        for name, stage in GRAPH.items():
            fields.clear()
            opened.clear()
            module = STAGES[name.partition("@")[0]]
            importlib.import_module(module).main(stage.command.split()[4:])
            reads[name] = Reads(set(fields), set(opened))
    return reads


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_and_data_declared_are_those_read(stage: str, reads: dict[str, Reads]) -> None:
    params = PARAMS | {"variants": {name: PARAMS["variants"][name] for name in KINDS}}
    used = {variant["recipe"] for variant in params["variants"].values()}
    params["recipes"] = {name: PARAMS["recipes"][name] for name in used}
    fields = reads[stage].fields
    assert {key for key in fields if not GRAPH[stage].uses(key)} == set(), "add it to params"
    unread = {
        leaf
        for leaf in declared.leaves(params)
        if GRAPH[stage].uses(leaf) and not any(f"{leaf}.".startswith(f"{key}.") for key in fields)
    }
    assert unread == set(), "use it, or declare less"

    outs, files = GRAPH[stage].outs, reads[stage].files
    read = {path for path in files if not any(declared.lies_in(path, out) for out in outs)}
    read.discard(str(backbone_file.wheel_path()))  # code has its SHA-256
    assert {path for path in read if not GRAPH[stage].reads(path)} == set(), "add it to deps"
    # The study lacks variants that the page compares with.
    left_out = ("pipeline", "requirements", "models/final.", "models/baseline.")
    data = {dep for dep in GRAPH[stage].deps if not dep.startswith(left_out)}
    unused = {dep for dep in data if not any(declared.lies_in(path, dep) for path in read)}
    assert unused == set(), "remove it from deps"


def _spy_on_fields(patch: pytest.MonkeyPatch) -> set[str]:
    """A set to which each field read from a section, and each key read as a mapping, is added."""
    fields: set[str] = set()
    owners: dict[int, tuple[str, ConfigModel]] = {}
    get = ConfigModel.__getattribute__

    def spy_on_section(params: Any, key: str, schema: Any) -> Any:
        section = read_section(params, key, schema)
        owners[id(section)] = key, section  # kept, so that the id stays unique
        if not isinstance(section, ConfigModel):
            fields.add(key)
        return section

    def spy_on_key(params: Any, key: str) -> Any:
        fields.add(key)
        return lookup(params, key)

    def attribute(self: ConfigModel, name: str) -> Any:
        if id(self) in owners and name in type(self).model_fields:
            fields.add(f"{owners[id(self)][0]}.{name}")
        return get(self, name)

    for stage in STAGES.values():
        importlib.import_module(stage)
    for name, module in list(sys.modules.items()):
        if name.startswith("pipeline.") and not name.startswith("pipeline.core"):
            for function, spy in ((read_section, spy_on_section), (lookup, spy_on_key)):
                if hasattr(module, function.__name__):
                    patch.setattr(module, function.__name__, spy)
    patch.setattr(ConfigModel, "__getattribute__", attribute)
    return fields


def _spy_on_files(folder: Path) -> set[str]:
    """A set to which each data file in `folder` that is opened for reading is added."""
    opened: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path, mode = Path(os.fsdecode(arguments[0])).absolute(), arguments[1]
        if (mode is None or mode.startswith("r")) and path.is_relative_to(folder):
            name = str(path.relative_to(folder))
            is_code = name.startswith(("pipeline/", "requirements/", "params.yaml", "dvc.yaml"))
            if path.is_file() and ".part" not in name and (not is_code or name.endswith(".csv")):
                opened.add(name)

    sys.addaudithook(watch)  # cannot be removed
    return opened
