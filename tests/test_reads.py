"""Declared equals read: each stage, run on small data, reads just its declared parameters."""

import importlib
from pathlib import Path
from typing import Any

import declared
import pytest
import sources
import workspace
import yaml
from conftest import PROJECT

from pipeline import config, files

GRAPH = declared.stages(PROJECT)


@pytest.fixture(scope="module")
def reads(
    tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None
) -> dict[str, set[str]]:
    """By stage, the fields of params.yaml that one run of the whole pipeline read."""
    folder = tmp_path_factory.mktemp("reads")
    with pytest.MonkeyPatch.context() as patch:
        sources.tiny_dataset(patch, folder / "data/raw")
        _write_params(folder)
        (folder / "pipeline").mkdir()
        (folder / "pipeline/published.csv").write_text(
            (PROJECT / "pipeline/published.csv").read_text()
        )
        patch.chdir(folder)
        seen = _spy(patch)
        found = {}
        for name, stage in GRAPH.items():
            seen.clear()
            _run(name, stage.command.split()[4:], patch)
            found[name] = set(seen)
    return found


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_declared_are_parameters_read(stage: str, reads: dict[str, set[str]]) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    given = set()
    for section in GRAPH[stage].params:
        content: Any = params
        for key in section.split("."):
            content = content[key]
        given |= {f"{section}.{field}" for field in content}
    unread, undeclared = given - reads[stage], reads[stage] - given
    assert not undeclared, f"dvc.yaml, {stage}: add to params what it reads: {sorted(undeclared)}"
    assert not unread, f"{stage} never reads {sorted(unread)}: use it, or declare less"


def _write_params(folder: Path) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["preprocess"] |= {"train_images": 60, "validation_images": 20}
    for recipe in params["recipes"].values():
        recipe["epochs"] = 1
    workspace.write_params(folder, params)


def _spy(patch: pytest.MonkeyPatch) -> set[str]:
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
