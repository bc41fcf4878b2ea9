"""Pins and lock files agree."""

import re
from pathlib import Path

import declared
import pytest
from conftest import PROJECT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.tools import environment

LOCK = PROJECT / "requirements/lock.txt"
# An extra has a lock of its own.
LOCKS = {"cluster": LOCK.with_name("cluster-lock.txt"), "cuda": LOCK.with_name("cuda-lock.txt")}
PINS = sorted(set(LOCK.parent.glob("*.txt")) - {LOCK, *LOCKS.values()})

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


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.stem)
def test_pins_are_in_the_lock_of_every_system(path: Path) -> None:
    for system in ENVIRONMENTS:
        locked = _locked(system, LOCKS.get(path.stem, LOCK))
        pins = [pin for pin in _requirements(path) if not pin.marker or pin.marker.evaluate(system)]
        for pin in pins:
            assert str(pin.specifier).startswith("=="), f"{path.name}: pin {pin} exactly"
            assert locked.get(canonicalize_name(pin.name)) == str(pin.specifier), "run `make lock`"
        assert _locked(system) == _locked(ENVIRONMENTS[0])


def test_pins_of_stages_are_checked_before_each_stage() -> None:
    deps = {dep for stage in declared.stages(PROJECT).values() for dep in stage.deps}
    pins = {dep for dep in deps if dep.startswith("requirements/")}
    assert pins == {path.as_posix() for path in environment.PINS}
