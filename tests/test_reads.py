"""Declared equals read: each stage, run on small data, reads just what dvc.yaml declares."""

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

from pipeline import config, files
from pipeline.runtime import Hardware

GRAPH = declared.stages(PROJECT)


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
        (folder / "pipeline").mkdir()
        (folder / "pipeline/published.csv").write_text(
            (PROJECT / "pipeline/published.csv").read_text()
        )
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
    given = set()
    for section in GRAPH[stage].params:
        content: Any = params
        for key in section.split("."):
            content = content[key]
        given |= {f"{section}.{field}" for field in content}
    found = reads[stage].fields
    unread, undeclared = given - found, found - given
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
    code = (".py", ".txt")  # modules and pins, which tests/test_declared.py compares
    unread = {
        dep
        for dep in GRAPH[stage].deps
        if not dep.endswith(code) and not any(declared.lies_in(path, dep) for path in read)
    }
    assert not unread, f"{stage} never reads {sorted(unread)}: remove them from deps in dvc.yaml"


def _write_params(folder: Path) -> None:
    params = workspace.light(workspace.read_params(PROJECT))
    params["preprocess"] |= {"train_images": 60, "validation_images": 20}
    # A process can have but one, and here all stages run in this one.
    hardware = {name: params["runtime"][name] for name in Hardware.model_fields}
    for recipe in params["recipes"].values():
        recipe |= {"epochs": 1, **hardware}
    workspace.write_params(folder, params)


def _spy_on_fields(patch: pytest.MonkeyPatch) -> set[str]:
    """The set that will hold each field read of each section that config.section returns."""
    seen: set[str] = set()
    owners: dict[int, tuple[str, config.Section]] = {}
    original, get = config.section, config.Section.__getattribute__

    def section(params: Any, key: str, schema: type[config.Section]) -> config.Section:
        found = original(params, key, schema)
        owners[id(found)] = key, found  # kept, so that the id stays its own
        return found

    def attribute(self: config.Section, name: str) -> Any:
        if id(self) in owners and name in type(self).model_fields:
            seen.add(f"{owners[id(self)][0]}.{name}")
        return get(self, name)

    patch.setattr(config, "section", section)
    patch.setattr(config.Section, "__getattribute__", attribute)
    return seen


def _spy_on_files(folder: Path) -> set[str]:
    """The set that will hold each file below `folder` opened for reading, relative to it.

    Left out are params.yaml, whose fields are watched, and unfinished files.
    """
    opened: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path, mode = Path(os.fsdecode(arguments[0])).absolute(), arguments[1]
        if (mode is None or mode.startswith("r")) and path.is_relative_to(folder):
            name = str(path.relative_to(folder))
            if ".part" not in name and name != "params.yaml" and path.is_file():
                opened.add(name)

    sys.addaudithook(watch)  # Python has no way to take it out again; it is quick elsewhere
    return opened


def _run(name: str, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    stage = importlib.import_module(f"pipeline.{name.partition('@')[0]}")
    if name == "fetch":
        lost = Path("data/raw/test_batch.bin")
        kept = lost.read_bytes()
        lost.unlink()

        def download(file: Any, folder: Path, **limits: float) -> Path:
            path = folder / "test_batch.part"
            files.write(
                path,
                lambda temporary: temporary.write_bytes(
                    sources.tar({"cifar-10-batches-bin/test_batch.bin": kept})
                ),
            )
            return path

        patch.setattr("pipeline.download.download", download)
    stage.main(arguments)
