"""Declared equals read: each stage, run on small data, reads just what dvc.yaml declares."""

import importlib
import os
import shutil
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
from pipeline.page import training_times

# Of the stages for each variant those of one of each network and optimizer: dvc.yaml declares
# the same for all.
KINDS = ("baseline", "sgd", "fast")
GRAPH = {
    name: stage
    for name, stage in declared.stages(PROJECT).items()
    if "@" not in name or name.split("@")[1] in KINDS
}


class Reads(NamedTuple):
    """What one stage read: fields of params.yaml, and data files below the project's folder."""

    fields: set[str]
    files: set[str]


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> dict[str, Reads]:
    """By stage, what one run of the whole pipeline on small data read."""
    folder = tmp_path_factory.mktemp("reads")
    with pytest.MonkeyPatch.context() as patch:
        sources.tiny_dataset(patch, folder / "data/raw")
        _write_params(folder)
        for name in ("pipeline", "requirements"):
            shutil.copytree(PROJECT / name, folder / name)
        shutil.copy(PROJECT / "dvc.yaml", folder)
        (folder / training_times.PATH).parent.mkdir()
        shutil.copy(PROJECT / training_times.PATH, folder / training_times.PATH)
        patch.chdir(folder)
        fields, opened = _spy_on_fields(patch), _spy_on_files(folder)
        found = {}
        for name, stage in GRAPH.items():
            fields.clear()
            opened.clear()
            _run(name, stage.command.split()[4:], patch)
            found[name] = Reads(set(fields), set(opened))
    return found


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_declared_are_parameters_read(stage: str, reads: dict[str, Reads]) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["variants"] = {name: params["variants"][name] for name in KINDS}
    leaves = declared.leaves(params)
    found = reads[stage].fields
    undeclared = {key for key in found if not GRAPH[stage].uses(key)}
    given = {leaf for leaf in leaves if GRAPH[stage].uses(leaf)}
    unread = {leaf for leaf in given if not any(f"{leaf}.".startswith(f"{key}.") for key in found)}
    assert not undeclared, f"dvc.yaml, {stage}: add to params what it reads: {sorted(undeclared)}"
    assert not unread, f"{stage} never reads {sorted(unread)}: use it, or declare less"


@pytest.mark.parametrize("stage", GRAPH)
def test_data_declared_is_data_read(stage: str, reads: dict[str, Reads]) -> None:
    own = GRAPH[stage].outs
    read = {
        path for path in reads[stage].files if not any(declared.lies_in(path, out) for out in own)
    }
    undeclared = {path for path in read if not GRAPH[stage].reads(path)}
    assert not undeclared, f"dvc.yaml, {stage}: add to deps what it reads: {sorted(undeclared)}"
    code = ("pipeline", "requirements")  # which tests/test_declared.py compares
    unread = {
        dep
        for dep in GRAPH[stage].deps
        if not dep.startswith(code) and not any(declared.lies_in(path, dep) for path in read)
    }
    assert not unread, f"{stage} never reads {sorted(unread)}: remove them from deps in dvc.yaml"


def _write_params(folder: Path) -> None:
    params = workspace.light(workspace.read_params(PROJECT))
    params["variants"] = {name: params["variants"][name] for name in KINDS}
    params["dataset"] |= {"train_images": 60, "validation_images": 20}
    for recipe in params["recipes"].values():
        recipe["epochs"] = 1
    workspace.write_params(folder, params)


def _spy_on_fields(patch: pytest.MonkeyPatch) -> set[str]:
    """The set that will hold each field read of each section that params_file.section returns.

    And the keys whose plain content params_file.at hands out.
    """
    seen: set[str] = set()
    owners: dict[int, tuple[str, params_file.Section]] = {}
    original, get, at = params_file.section, params_file.Section.__getattribute__, params_file.at

    def section(params: Any, key: str, schema: type[params_file.Section]) -> params_file.Section:
        with pytest.MonkeyPatch.context() as inside:
            inside.setattr(params_file, "at", at)
            found: params_file.Section = original(params, key, schema)
        owners[id(found)] = key, found  # kept, so that the id stays its own
        return found

    def plain(params: Any, key: str) -> Any:
        seen.add(key)
        return at(params, key)

    def attribute(self: params_file.Section, name: str) -> Any:
        if id(self) in owners and name in type(self).model_fields:
            seen.add(f"{owners[id(self)][0]}.{name}")
        return get(self, name)

    patch.setattr(params_file, "section", section)
    patch.setattr(params_file, "at", plain)
    patch.setattr(params_file.Section, "__getattribute__", attribute)
    return seen


def _spy_on_files(folder: Path) -> set[str]:
    """The set that will hold each file below `folder` opened for reading, relative to it.

    Left out are params.yaml, whose fields are watched, code and unfinished files.
    """
    opened: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path, mode = Path(os.fsdecode(arguments[0])).absolute(), arguments[1]
        if (mode is None or mode.startswith("r")) and path.is_relative_to(folder):
            name = str(path.relative_to(folder))
            ours = name.startswith(("pipeline/", "requirements/", "params.yaml", "dvc.yaml"))
            if path.is_file() and ".part" not in name and (not ours or name.endswith(".csv")):
                opened.add(name)

    sys.addaudithook(watch)  # Python has no way to take it out again; it is quick elsewhere
    return opened


def _run(name: str, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    stage = importlib.import_module(STAGES[name.partition("@")[0]])
    if name == "fetch":
        lost = Path("data/raw/test_batch.bin")
        kept = lost.read_bytes()
        lost.unlink()

        def download(url: str, sha256: str, folder: Path) -> Path:
            path = folder / "test_batch.part"
            files.write(
                path,
                lambda temporary: temporary.write_bytes(
                    sources.tar({"cifar-10-batches-bin/test_batch.bin": kept})
                ),
            )
            return path

        patch.setattr("pipeline.datasets.fetch.download", download)
    stage.main(arguments)
