"""The committed results belong to the committed code."""

import hashlib
import json
from pathlib import Path

import declared
import pandas as pd
import pytest
import yaml
from conftest import PROJECT

from pipeline.comparison.results import read_result
from pipeline.core.params import lookup
from pipeline.tools import environment, lockfile, plan

GRAPH = declared.stages(PROJECT)
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
LOCK = yaml.safe_load((PROJECT / "dvc.lock").read_text())["stages"]
OUTPUTS = lockfile.read_outputs(PROJECT)
REMEDY = "run `dvc repro` and commit dvc.lock and reports/ with the change"


def test_every_stage_was_run_and_no_other() -> None:
    assert set(LOCK) == set(GRAPH), REMEDY
    assert {path.stem for path in (PROJECT / "reports/runs").iterdir()} == set(GRAPH)


@pytest.mark.parametrize("stage", GRAPH)
def test_command_dependencies_and_outputs_are_the_recorded_ones(stage: str) -> None:
    assert LOCK[stage]["cmd"] == GRAPH[stage].command, REMEDY
    outs = OUTPUTS[stage]
    deps = {dep["path"]: dep["md5"] for dep in LOCK[stage]["deps"]}
    assert set(deps) == set(GRAPH[stage].deps), REMEDY
    assert set(outs) == set(GRAPH[stage].outs), REMEDY
    written = {path: md5 for each in OUTPUTS.values() for path, md5 in each.items()}
    for path, md5 in deps.items():
        current = written[path] if path in written else _digest(PROJECT / path)
        assert current == md5, f"{path} has changed since {stage} ran: {REMEDY}"
    for path in GRAPH[stage].in_git:
        current = lockfile.file_md5(PROJECT / path)
        assert current == outs[path], f"{path} is not what {stage} wrote: {REMEDY}"


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_and_libraries_are_the_recorded_ones(stage: str) -> None:
    recorded = LOCK[stage].get("params", {}).get("params.yaml", {})
    assert set(recorded) == set(GRAPH[stage].params), REMEDY
    for key, value in recorded.items():
        assert lookup(PARAMS, key) == value, f"{key} has changed: {REMEDY}"
    libraries = json.loads((PROJECT / f"reports/runs/{stage}.json").read_text())["libraries"]
    for library, (version, pins) in environment.pins().items():
        if GRAPH[stage].reads(str(pins)):
            assert libraries[library] == version, REMEDY


def test_readme_shows_the_committed_results() -> None:
    """A row per variant, in the order of the comparison, with its training time."""
    readme, rows = (PROJECT / "README.md").read_text(), ""
    for row in pd.read_csv(PROJECT / "reports/comparison.csv").to_dict("records"):
        time = read_result(row["variant"]).time
        assert time, "run `make repro`"
        accuracy = f"{row['accuracy']:.4f} ± {row['accuracy_deviation']:.4f}".removesuffix(" ± nan")
        interval = f"{row['accuracy_low']:.4f} to {row['accuracy_high']:.4f}"
        duration, parameters = plan.duration(time[0]), f"{row['parameters']:,}"
        rows += f"| {row['variant']} | {accuracy} | {interval} | {duration} | {parameters} |\n"
    assert rows in readme, f"README.md, Results: {rows}"


def test_accuracies_are_near_the_published_ones() -> None:
    comparison = pd.read_csv(PROJECT / "reports/comparison.csv").dropna(subset="published_accuracy")
    assert len(comparison) == 4
    assert comparison["accuracy_difference"].abs().max() <= 0.025, "explain it in docs/results.md"


def _digest(path: Path) -> str:
    """The MD5 of a file, or of the list of what is in a folder, as DVC records it."""
    if path.is_file():
        return lockfile.file_md5(path)
    listing = [
        {"md5": lockfile.file_md5(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    ]
    content = json.dumps(sorted(listing, key=lambda item: item["relpath"]))
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest() + ".dir"
