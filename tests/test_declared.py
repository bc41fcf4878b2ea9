"""dvc.yaml names exactly the modules and pins that each stage imports."""

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

# The pins of libraries that decide a stage's output.
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

# In pipeline/train, but imported for some networks only.
FOR_SOME = {"pipeline/train/winograd.py"}


def imported(stage: str) -> set[str]:
    """The modules that `stage` imports, directly or not, eagerly or lazily."""
    name, _, variant = stage.partition("@")
    roots = {STAGES[name]}
    if name == "train":
        roots.add(f"pipeline.networks.{PARAMS['variants'][variant]['network']}")
    modules: set[str] = set()
    while roots - modules:
        for module in roots - modules:
            modules |= {module, *IMPORTS.find_upstream_modules(module)}
        roots |= {name for module in modules for name in lazily_imported(module)}
    return modules - PACKAGES


def lazily_imported(module: str) -> set[str]:
    """The names in calls of Lazy("name"), which no graph of imports shows."""
    path = PROJECT / f"{module.replace('.', '/')}.py"
    if not path.exists():
        return set()
    return {
        ast.literal_eval(node.args[0])
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Lazy"
    }


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_init_files_hold_no_code(folder: str) -> None:
    # An import of any module runs them, and not all stages declare them.
    body = ast.parse((PROJECT / folder.replace(".", "/") / "__init__.py").read_text()).body
    assert [type(node) for node in body] == [ast.Expr]


def test_modules_for_some_networks() -> None:
    used = [imported(stage) for stage in GRAPH if stage.startswith("train@")]
    differ = set().union(*used) - set(used[0]).intersection(*used)
    files = {
        f"{name.replace('.', '/')}.py" for name in differ if name.startswith("pipeline.train.")
    }
    assert files == FOR_SOME


@pytest.mark.parametrize("stage", GRAPH)
def test_code_declared_is_code_imported(stage: str) -> None:
    used = {f"{name.replace('.', '/')}.py" for name in imported(stage) if name[:9] == "pipeline."}
    declared_files = {
        str(file.relative_to(PROJECT))
        for dep in GRAPH[stage].deps
        if dep.startswith("pipeline/")
        for file in modules(PROJECT / dep)
    }
    assert used - declared_files == set(), "add them to deps"
    if stage.startswith("train@"):
        declared_files -= FOR_SOME - used
    assert declared_files - used == set(), "remove them, or name files instead of their folder"


@pytest.mark.parametrize("stage", GRAPH)
def test_a_folder_is_named_where_all_of_it_is_used(stage: str) -> None:
    files = {PROJECT / dep for dep in GRAPH[stage].deps if dep.endswith(".py")}
    for folder in {file.parent for file in files} - {PROJECT / "pipeline"}:
        if folder.name in ("data", "datasets"):
            continue  # their files belong to different stages
        if GRAPH[stage].name.startswith("train@") and folder.name == "networks":
            continue  # each training has one
        assert not set(modules(folder)) <= files, "name the folder instead"


def modules(path: Path) -> list[Path]:
    """The modules in the folder `path`, or the one at `path`."""
    paths = path.rglob("*.py") if path.is_dir() else [path]
    return [file for file in paths if file.name != "__init__.py"]


@pytest.mark.parametrize("stage", GRAPH)
def test_pins_declared_are_libraries_imported(stage: str) -> None:
    used = {PINNED_IN[name] for name in imported(stage) & set(PINNED_IN)}
    if stage == "fetch":
        used = set()  # its output has fixed digests
    assert {dep for dep in GRAPH[stage].deps if dep.startswith("requirements/")} == used
