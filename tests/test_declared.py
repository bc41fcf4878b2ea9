"""Declared equals used: dvc.yaml names exactly the files and libraries of each stage."""

import ast
import re
from typing import Any

import declared
import grimp
import pytest
import yaml
from conftest import PROJECT

GRAPH = declared.stages(PROJECT)
IMPORTS = grimp.build_graph("pipeline", include_external_packages=True, cache_dir=None)

# Libraries that decide a stage's bytes, and the file whose pin is then part of its key.
PINNED_IN = {
    "numpy": "requirements/numpy.txt",
    "tensorflow": "requirements/tensorflow.txt",
    "keras": "requirements/tensorflow.txt",
    "h5py": "requirements/tensorflow.txt",
    "pandas": "requirements/reports.txt",
    "scipy": "requirements/reports.txt",
    "matplotlib": "requirements/reports.txt",
    "PIL": "requirements/reports.txt",
}


def imported(stage: str) -> set[str]:
    """All modules that the module of `stage` imports, directly or not."""
    module = f"pipeline.{stage.partition('@')[0]}"
    return {module, *IMPORTS.find_upstream_modules(module)} - {"pipeline"}


def test_the_package_itself_holds_no_code() -> None:
    # Every import runs pipeline/__init__.py, which no stage declares.
    body = ast.parse((PROJECT / "pipeline/__init__.py").read_text()).body
    assert [type(node) for node in body] == [ast.Expr], "keep it a docstring, or declare it"


@pytest.mark.parametrize("stage", GRAPH)
def test_code_declared_is_code_imported(stage: str) -> None:
    used = {
        f"{module.replace('.', '/')}.py"
        for module in imported(stage)
        if module.startswith("pipeline.")
    }
    used = {
        path if (PROJECT / path).exists() else path.replace(".py", "/__init__.py") for path in used
    }
    given = {dep for dep in GRAPH[stage].deps if dep.endswith(".py")}
    assert not used - given, f"dvc.yaml, {stage}: add to deps: {sorted(used - given)}"
    assert not given - used, f"dvc.yaml, {stage}: nothing imports: {sorted(given - used)}; remove"


@pytest.mark.parametrize("stage", GRAPH)
def test_pins_declared_are_libraries_imported(stage: str) -> None:
    used = {PINNED_IN[name] for name in imported(stage) & set(PINNED_IN)}
    if stage == "fetch":
        used = set()  # whatever decodes a mirror's files, the result must have the fixed digests
    given = {dep for dep in GRAPH[stage].deps if dep.startswith("requirements/")}
    assert given == used, f"dvc.yaml, {stage}: the deps should name {sorted(used)}"


def test_variants_are_all_compared() -> None:
    text = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    missing = []
    for variant, settings in params["variants"].items():
        held_out = params["recipes"][settings["recipe"]]["train_on"] == "train"
        if variant not in _compared():
            missing.append(f"compare.cmd: {variant}")
        for name in ("metrics.json", "history.csv", "classes.csv", "predictions.csv"):
            if f"reports/{variant}/{name}" not in GRAPH["compare"].deps:
                missing.append(f"compare.deps:  - reports/{variant}/{name}")
        for plot in text["plots"]:
            missing += _missing_curves(plot, variant, held_out=held_out)
    assert not missing, "add to dvc.yaml:\n" + "\n".join(missing)


def test_only_variants_are_compared() -> None:
    text = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    variants = yaml.safe_load((PROJECT / "params.yaml").read_text())["variants"]
    paths = [dep for dep in GRAPH["compare"].deps if dep.startswith("reports/")]
    paths += [path for plot in text["plots"] for body in plot.values() for path in body["y"]]
    surplus = {path for path in paths if path.split("/")[1] not in variants}
    surplus |= set(_compared()) - set(variants)
    assert not surplus, f"no such variants any more; remove from dvc.yaml: {sorted(surplus)}"


def test_runs_that_differ_in_their_seed_alone_are_one_row_of_the_comparison() -> None:
    variants = yaml.safe_load((PROJECT / "params.yaml").read_text())["variants"]
    alike: dict[str, list[str]] = {}
    for name, settings in variants.items():
        alike.setdefault(repr(sorted((settings | {"seed": None}).items())), []).append(name)
    given = [group.split(",") for group in GRAPH["compare"].command.split()[4:]]
    assert sorted(given) == sorted(alike.values()), "join these by commas in compare.cmd"


def _compared() -> list[str]:
    """The variants in the command of compare, those of several seeds one by one."""
    return re.split("[ ,]", GRAPH["compare"].command)[4:]


def _missing_curves(plot: dict[str, Any], variant: str, *, held_out: bool) -> list[str]:
    """The lines that `plot` has for other variants but not for this one.

    Figures of validation are wanted of a variant with images `held_out`.
    """
    ((name, body),) = plot.items()
    wanted = {
        (re.sub(r"^reports/[^/]+/", f"reports/{variant}/", path), column)
        for path, column in body["y"].items()
        if held_out or not column.startswith("val_")
    }
    lacking = sorted(wanted - set(body["y"].items()))
    return [f"plots.{name}.y:  {path}: {column}" for path, column in lacking]
