"""Declared equals used: dvc.yaml names exactly the files and libraries of each stage."""

import ast
from pathlib import Path

import declared
import grimp
import pytest
import yaml
from conftest import PROJECT

from pipeline.__main__ import STAGES

GRAPH = declared.stages(PROJECT)
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
IMPORTS = grimp.build_graph("pipeline", include_external_packages=True, cache_dir=None)
PACKAGES = {
    ".".join(file.parent.relative_to(PROJECT).parts)
    for file in (PROJECT / "pipeline").rglob("__init__.py")
}

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

# Of pipeline/train, on which DVC has every training depend: what only some networks import.
FOR_SOME = {"pipeline/train/winograd.py"}


def imported(stage: str) -> set[str]:
    """All modules that a run of `stage` imports, directly or not, those by their name included."""
    name, _, variant = stage.partition("@")
    roots = {STAGES[name]}
    if name == "train":  # it loads its network by the name that params.yaml gives
        roots.add(f"pipeline.networks.{PARAMS['variants'][variant]['network']}")
    found: set[str] = set()
    while roots - found:
        for module in roots - found:
            found |= {module, *IMPORTS.find_upstream_modules(module)}
        roots |= {name for module in found for name in lazily_imported(module)}
    return found - PACKAGES


def lazily_imported(module: str) -> set[str]:
    """The names in calls of Lazy("name") in a module of ours, which no graph of imports shows."""
    path = PROJECT / f"{module.replace('.', '/')}.py"
    if not path.exists():
        return set()
    return {
        ast.literal_eval(node.args[0])
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Lazy"
    }


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_a_package_s_own_file_holds_no_code(folder: str) -> None:
    # Every import of a module runs those of the packages around it, which not all stages declare.
    body = ast.parse((PROJECT / folder.replace(".", "/") / "__init__.py").read_text()).body
    assert [type(node) for node in body] == [ast.Expr], "keep it a docstring"


def test_what_some_networks_import_is_what_not_all_trainings_do() -> None:
    used = [imported(stage) for stage in GRAPH if stage.startswith("train@")]
    differ = set().union(*used).difference(set(used[0]).intersection(*used))
    files = {
        f"{name.replace('.', '/')}.py" for name in differ if name.startswith("pipeline.train.")
    }
    assert files == FOR_SOME


@pytest.mark.parametrize("stage", GRAPH)
def test_code_declared_is_code_imported(stage: str) -> None:
    used = {f"{name.replace('.', '/')}.py" for name in imported(stage) if name[:9] == "pipeline."}
    given = {
        str(file.relative_to(PROJECT))
        for dep in GRAPH[stage].deps
        if dep.startswith("pipeline/")
        for file in modules(PROJECT / dep)
    }
    assert not used - given, f"dvc.yaml, {stage}: add to deps: {sorted(used - given)}"
    if stage.startswith("train@"):
        given -= FOR_SOME - used
    assert not given - used, (
        f"dvc.yaml, {stage}: nothing imports {sorted(given - used)}; remove them, or name the "
        "files of their folder one by one"
    )


@pytest.mark.parametrize("stage", GRAPH)
def test_a_folder_is_named_where_all_of_it_is_used(stage: str) -> None:
    files = {PROJECT / dep for dep in GRAPH[stage].deps if dep.endswith(".py")}
    for folder in {file.parent for file in files} - {PROJECT / "pipeline"}:
        if folder.name in ("data", "datasets"):
            continue  # their files have different readers: a changed download reruns fetch alone
        if GRAPH[stage].name.startswith("train@") and folder.name == "networks":
            continue  # of these a training has its own
        assert not set(modules(folder)) <= files, f"dvc.yaml, {stage}: name {folder.name} instead"


def modules(path: Path) -> list[Path]:
    """The modules in a folder, or the one at `path`; packages' own files hold no code."""
    found = path.rglob("*.py") if path.is_dir() else [path]
    return [file for file in found if file.name != "__init__.py"]


@pytest.mark.parametrize("stage", GRAPH)
def test_pins_declared_are_libraries_imported(stage: str) -> None:
    used = {PINNED_IN[name] for name in imported(stage) & set(PINNED_IN)}
    if stage == "fetch":
        used = set()  # whatever decodes a mirror's files, the result must have the fixed digests
    given = {dep for dep in GRAPH[stage].deps if dep.startswith("requirements/")}
    assert given == used, f"dvc.yaml, {stage}: the deps should name {sorted(used)}"
