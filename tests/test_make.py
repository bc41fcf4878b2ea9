"""What make sets up, when it does so again, and what it says where it cannot."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.comparison import statistics

LOCK = PROJECT / "requirements/lock.txt"


def _make(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """make as a person calls it, though `make test` may be running this."""
    inherited = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in inherited},
        capture_output=True,
        text=True,
    )


def test_pyproject_admits_the_pythons_that_the_makefile_looks_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (PROJECT / "Makefile").read_text()


def test_make_names_the_pythons_it_needs_when_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    shutil.copy(LOCK, tmp_path / "requirements")
    shutil.copy(PROJECT / "Makefile", tmp_path)
    result = _make("setup", "PYTHON=no-such-python false", folder=tmp_path)
    assert result.returncode != 0
    assert "expected Python 3.11, 3.12 or 3.13, found none as no-such-python false" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_help_names_every_target_a_person_calls() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    result = _make("help", folder=PROJECT)
    assert phony
    assert [line.split()[1] for line in result.stdout.splitlines()] == phony[1].split()


def test_no_colon_in_the_path(tmp_path: Path) -> None:
    folder = _project(tmp_path / "a:b")
    for target in ("help", "setup"):
        done = _make(target, folder=folder)
        assert done.returncode == 2
        assert f"expected a folder without a colon in its path, found {folder}" in done.stderr
    assert not (folder / ".venv").exists()


# A Python whose new environments have a pip that installs nothing, as there is nothing locked.
STUB = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
echo made >> made.txt
{sys.executable} -m venv --without-pip --clear .venv
mkdir .venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/pip
cd .venv/lib/python*/site-packages/pip
touch __init__.py __main__.py
cd ../../../../bin
if [ -e ../../long ]
then printf '#!/bin/sh\\n%s "%s/python" "$0"' "'''exec'" "$PWD" > pip
else printf '#!%s/python\\nprint("pip")\\n' "$PWD" > pip
fi
"""


def _project(folder: Path) -> Path:
    (folder / "requirements").mkdir(parents=True)
    lock = folder / "requirements/lock.txt"
    lock.touch()
    os.utime(lock, (0, 0))
    shutil.copy(PROJECT / "Makefile", folder)
    return folder


@pytest.fixture(params=["project", "a folder with spaces"])
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A project after `make setup`. Where the path has spaces, pip calls its Python through sh."""
    folder = _project(tmp_path / request.param)
    (folder / "python").write_text(STUB)
    (folder / "python").chmod(0o755)
    if " " in request.param:
        (folder / "long").touch()
    assert _times_made(folder) == 1
    return folder


def _times_made(folder: Path) -> int:
    """How often .venv was made in all, after another `make setup`."""
    done = _make("setup", "PYTHON=./python", folder=folder)
    assert done.returncode == 0, done.stderr
    return len((folder / "made.txt").read_text().split())


def test_set_up_does_nothing_twice(made: Path) -> None:
    done = _make("setup", "PYTHON=./python", folder=made)
    assert (done.stdout, done.stderr) == ("make: Nothing to be done for 'setup'.\n", "")


def test_a_new_lock_is_installed_into_the_same_environment(made: Path) -> None:
    (made / "requirements/lock.txt").touch()
    os.utime(made / ".venv/ready", (0, 0))
    done = _make("setup", "PYTHON=./python", folder=made)
    assert done.stdout.startswith("Installing the packages of requirements/lock.txt")
    assert _times_made(made) == 1


def test_a_moved_project_gets_a_new_environment(made: Path) -> None:
    moved = made.rename(made.with_name("moved"))
    done = _make("setup", "PYTHON=./python", folder=moved)
    assert done.stdout.startswith("The project was moved, or its Python replaced\nMaking .venv")
    assert f"{moved}/.venv/bin/python" in (moved / ".venv/bin/pip").read_text()
    assert _times_made(moved) == 2


def test_a_copied_project_leaves_the_environment_of_the_first(made: Path) -> None:
    copy = shutil.copytree(made, made.with_name("copy"), symlinks=True)
    assert _times_made(copy) == 2
    assert f"{copy}/.venv/bin/python" in (copy / ".venv/bin/pip").read_text()
    assert _times_made(made) == 1


def test_a_python_that_is_gone_is_noticed(made: Path) -> None:
    python = made / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/opt/python3.11.2/bin/python")
    assert _times_made(made) == 2
    assert _times_made(made) == 2


def test_a_python_of_another_version_is_noticed(made: Path) -> None:
    """Its packages are in a folder that is named by the version."""
    (library,) = (made / ".venv/lib").iterdir()
    library.rename(library.with_name("python3.9"))
    assert _times_made(made) == 2
    assert _times_made(made) == 2


def test_an_environment_elsewhere_may_be_linked_and_is_never_cleared(made: Path) -> None:
    folder = _project(made.with_name("linking"))
    (folder / ".venv").symlink_to(made / ".venv")
    done = _make("setup", "PYTHON=./python", folder=folder)
    assert (done.returncode, done.stdout) == (0, "make: Nothing to be done for 'setup'.\n")
    pip = made / ".venv/bin/pip"
    pip.write_text(pip.read_text().replace(str(made), "/elsewhere"))
    done = _make("setup", "PYTHON=./python", folder=folder)
    assert done.returncode == 2
    assert "found a link to one that does not work here; delete the link" in done.stderr
    assert pip.exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_make_quick_runs_the_whole_graph_and_touches_no_result(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
    (folder / ".venv").symlink_to(sys.prefix)
    os.utime(folder / "requirements/lock.txt", (0, 0))  # so that make finds .venv up to date
    dataset = params_file.read(PROJECT / "params.yaml")["dataset"]
    if dataset["kind"] == "photos":  # as in a study that `make study` made: nothing fetches them
        shutil.copytree(PROJECT / dataset["folder"], folder / dataset["folder"])
    done = _make("quick", "JOBS=2", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (folder / ".quick/reports/comparison.md").read_text()
    variants = params_file.read(PROJECT / "params.yaml")["variants"]
    rows = re.findall(r"^\| ([\w-]+) ", table, re.M)
    assert {first for first, *_ in statistics.group_seeds(variants)} == set(rows) - {"variant"}
    changed = ["git", "status", "--porcelain", "--untracked-files=no"]
    assert not subprocess.run(changed, cwd=folder, capture_output=True, check=True).stdout
    assert [path.name for path in (folder / "models").iterdir()] == ["README.md"]
