"""How much memory there is, as far as the machine, control groups and the shell say."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import PROJECT

from pipeline.tools import memory

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 GiB whose process is in the control group `/jobs/one`; the groups' folder."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 * GIB))
    monkeypatch.setattr(memory, "addresses", lambda: float("inf"))
    groups = tmp_path / "cgroup"
    (groups / "jobs/one").mkdir(parents=True)
    (groups / "memory").mkdir()
    monkeypatch.setattr(memory, "CGROUPS", groups)
    monkeypatch.setattr(memory, "OWN_CGROUP", tmp_path / "own")
    (tmp_path / "own").write_text("0::/jobs/one\n")
    return groups


def test_all_of_the_machine_where_nothing_limits_it(machine: Path) -> None:
    (machine / "jobs/one/memory.max").write_text("max\n")
    assert memory.allowed() == 8 * GIB
    assert memory.warning() is None


@pytest.mark.parametrize("group", ["jobs/one", "jobs", "."])
def test_least_of_a_group_and_those_above_it(machine: Path, group: str) -> None:
    (machine / group / "memory.max").write_text("1800000000\n")
    assert memory.allowed() == 1_800_000_000
    assert (memory.warning() or "").startswith("1.7 GiB of memory are here or allowed")


def test_groups_of_the_first_version(machine: Path) -> None:
    memory.OWN_CGROUP.write_text("9:memory:/\n1:name=systemd:/\n")
    (machine / "memory/memory.limit_in_bytes").write_text("1800000000\n")
    assert memory.allowed() == 1_800_000_000


def test_a_system_without_groups(machine: Path) -> None:
    memory.OWN_CGROUP.unlink()
    assert memory.allowed() == 8 * GIB


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes no such limit")
def test_a_shell_s_limit_of_addresses_is_told() -> None:
    program = "from pipeline.tools import memory; print(memory.warning())"
    command = f"ulimit -v 4000000; exec {sys.executable} -c '{program}'"
    done = subprocess.run(
        ["sh", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("`ulimit -v` allows 3.8 GiB of addresses")
