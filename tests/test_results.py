"""The committed results belong to the committed code."""

import hashlib
import json
from pathlib import Path

import declared
import pandas as pd
import pytest
import yaml
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.page import training_times
from pipeline.tools import environment, plan

GRAPH = declared.stages(PROJECT)
KINDS = ("deps", "outs")
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())


LOCK = yaml.safe_load((PROJECT / "dvc.lock").read_text())["stages"]
REMEDY = "run `dvc repro` and commit dvc.lock and reports/ with the change"


def test_every_stage_was_run_and_no_other() -> None:
    assert set(LOCK) == set(GRAPH), REMEDY


@pytest.mark.parametrize("stage", GRAPH)
def test_command_dependencies_and_outputs_are_the_recorded_ones(stage: str) -> None:
    assert LOCK[stage]["cmd"] == GRAPH[stage].command, REMEDY
    deps, outs = ({each["path"]: each["md5"] for each in LOCK[stage][key]} for key in KINDS)
    assert set(deps) == set(GRAPH[stage].deps), REMEDY
    assert set(outs) == set(GRAPH[stage].outs), REMEDY
    made = {out["path"]: out["md5"] for other in LOCK.values() for out in other["outs"]}
    for path, md5 in deps.items():
        current = made[path] if path in made else _digest(PROJECT / path)
        assert current == md5, f"{path} has changed since {stage} ran: {REMEDY}"
    for path in GRAPH[stage].in_git:
        assert _md5(PROJECT / path) == outs[path], f"{path} is not what {stage} wrote: {REMEDY}"


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_are_the_recorded_ones(stage: str) -> None:
    recorded = LOCK[stage].get("params", {}).get("params.yaml", {})
    assert set(recorded) == set(GRAPH[stage].params), REMEDY
    for key, value in recorded.items():
        assert params_file.at(PARAMS, key) == value, f"{key} has changed: {REMEDY}"


def test_every_stage_recorded_its_time_and_libraries() -> None:
    runs = {path.stem: path for path in (PROJECT / "reports/runs").iterdir()}
    assert set(runs) == set(GRAPH)
    for name, path in runs.items():
        given = json.loads(path.read_text())["libraries"]
        for library, (version, pins) in environment.pins().items():
            if GRAPH[name].reads(str(pins)):
                assert given[library] == version, f"{path}: {library}: {REMEDY}"


def test_the_optimizer_trial_differs_in_its_recipe_alone() -> None:
    variants, recipes = PARAMS["variants"], PARAMS["recipes"]
    for name in ("adam", "sgd"):
        assert variants[name] | {"recipe": None} == variants["improved"] | {"recipe": None}
    assert {
        key
        for key in recipes["trial_adam"]
        if recipes["trial_adam"][key] != recipes["trial_sgd"][key]
    } == {"optimizer", "learning_rate"}


def test_readme_shows_the_committed_results() -> None:
    """A row per variant, in the order of the comparison, with its training time."""
    readme, known = (PROJECT / "README.md").read_text(), training_times.read_training_times()
    rows = ""
    for row in pd.read_csv(PROJECT / "reports/comparison.csv").to_dict("records"):
        time = training_times.training_time(known, row["variant"])
        assert time
        accuracy = f"{row['accuracy']:.4f} ± {row['accuracy_deviation']:.4f}".removesuffix(" ± nan")
        interval = f"{row['accuracy_low']:.4f} to {row['accuracy_high']:.4f}"
        duration, parameters = plan.duration(time.seconds), f"{row['parameters']:,}"
        rows += f"| {row['variant']} | {accuracy} | {interval} | {duration} | {parameters} |\n"
    assert rows in readme, f"README.md, Results: {rows}"


def test_accuracies_are_near_the_published_ones() -> None:
    comparison = pd.read_csv(PROJECT / "reports/comparison.csv").dropna(subset="published_accuracy")
    assert len(comparison) == 4
    assert comparison["accuracy_difference"].abs().max() <= 0.025, "explain it in docs/results.md"


def _digest(path: Path) -> str:
    """The MD5 of a file, or of the list of what is in a folder, as DVC records it."""
    if path.is_file():
        return _md5(path)
    inside = [file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    listing = [{"md5": _md5(file), "relpath": file.relative_to(path).as_posix()} for file in inside]
    content = json.dumps(sorted(listing, key=lambda item: item["relpath"]))
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
