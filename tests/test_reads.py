"""Each stage, run on small data, reads just the parameters and files that dvc.yaml declares."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import declared
import pytest
import sources
import workspace
import yaml
from conftest import PROJECT

from pipeline.__main__ import STAGES
from pipeline.base import files, params_file

# One variant of each network and optimizer: dvc.yaml declares the same for all.
KINDS = ("baseline", "sgd", "fast")
GRAPH = {
    name: stage
    for name, stage in declared.stages(PROJECT).items()
    if "@" not in name or name.split("@")[1] in KINDS
}


class Reads(NamedTuple):
    """Fields of params.yaml, and data files by their path in the project."""

    fields: set[str]
    files: set[str]


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> dict[str, Reads]:
    """The reads of each stage in a run of the whole pipeline."""
    folder = tmp_path_factory.mktemp("reads")
    with pytest.MonkeyPatch.context() as patch:
        sources.tiny_dataset(patch, folder / "data/raw")
        workspace.copy_files(folder)
        _write_params(folder)
        patch.chdir(folder)
        fields, opened = _spy_on_fields(patch), _spy_on_files(folder)
        reads = {}
        for name, stage in GRAPH.items():
            fields.clear()
            opened.clear()
            _run(name, stage.command.split()[4:], patch)
            reads[name] = Reads(set(fields), set(opened))
    return reads


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_declared_are_parameters_read(stage: str, reads: dict[str, Reads]) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["variants"] = {name: params["variants"][name] for name in KINDS}
    fields = reads[stage].fields
    assert {key for key in fields if not GRAPH[stage].uses(key)} == set(), "add it to params"
    unread = {
        leaf
        for leaf in declared.leaves(params)
        if GRAPH[stage].uses(leaf) and not any(f"{leaf}.".startswith(f"{key}.") for key in fields)
    }
    assert unread == set(), "use it, or declare less"


@pytest.mark.parametrize("stage", GRAPH)
def test_data_declared_is_data_read(stage: str, reads: dict[str, Reads]) -> None:
    own = GRAPH[stage].outs
    read = {
        path for path in reads[stage].files if not any(declared.lies_in(path, out) for out in own)
    }
    assert {path for path in read if not GRAPH[stage].reads(path)} == set(), "add it to deps"
    code = ("pipeline", "requirements")  # which tests/test_declared.py compares
    unread = {
        dep
        for dep in GRAPH[stage].deps
        if not dep.startswith(code) and not any(declared.lies_in(path, dep) for path in read)
    }
    assert unread == set(), "remove it from deps"


def _write_params(folder: Path) -> None:
    params = workspace.light(workspace.read_params(PROJECT))
    params["variants"] = {name: params["variants"][name] for name in KINDS}
    params["dataset"] |= {"train_images": 60, "validation_images": 20}
    for recipe in params["recipes"].values():
        recipe["epochs"] = 1
    workspace.write_params(folder, params)


def _spy_on_fields(patch: pytest.MonkeyPatch) -> set[str]:
    """A set to which each field read from a section, and each key read as a mapping, is added."""
    fields: set[str] = set()
    owners: dict[int, tuple[str, params_file.Section]] = {}
    original, get, at = params_file.section, params_file.Section.__getattribute__, params_file.at

    def section(params: Any, key: str, schema: type[params_file.Section]) -> params_file.Section:
        with pytest.MonkeyPatch.context() as inside:
            inside.setattr(params_file, "at", at)
            result: params_file.Section = original(params, key, schema)
        owners[id(result)] = key, result  # kept, so that the id stays unique
        return result

    def plain(params: Any, key: str) -> Any:
        fields.add(key)
        return at(params, key)

    def attribute(self: params_file.Section, name: str) -> Any:
        if id(self) in owners and name in type(self).model_fields:
            fields.add(f"{owners[id(self)][0]}.{name}")
        return get(self, name)

    patch.setattr(params_file, "section", section)
    patch.setattr(params_file, "at", plain)
    patch.setattr(params_file.Section, "__getattribute__", attribute)
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


def _run(name: str, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    stage = importlib.import_module(STAGES[name.partition("@")[0]])
    if name == "fetch":
        missing = Path("data/raw/test_batch.bin")
        archive = sources.tar({"cifar-10-batches-bin/test_batch.bin": missing.read_bytes()})
        missing.unlink()

        def download(url: str, sha256: str, folder: Path) -> Path:
            path = folder / "test_batch.part"
            files.write(path, lambda temporary: temporary.write_bytes(archive))
            return path

        patch.setattr("pipeline.datasets.fetch.download", download)
    stage.main(arguments)
