"""make: set-up, repro, plots, quick and study."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import backbone_file
import pandas as pd
import pytest
import synthetic
import vl_convert
import workspace
from conftest import PROJECT
from PIL import Image

from pipeline.comparison.seeds import group_seeds
from pipeline.core.params import read_params
from pipeline.tools import repository
from pipeline.tools.plan import plan_stages


def make(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """make, without the variables of a make that runs the tests."""
    inherited = os.environ.keys() - {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={name: os.environ[name] for name in inherited} | environment,
        capture_output=True,
        text=True,
    )


def make_project(folder: Path) -> Path:
    """The Makefile and an empty, old lock."""
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements/lock.txt").touch()
    os.utime(folder / "requirements/lock.txt", (0, 0))
    shutil.copy(PROJECT / "Makefile", folder)
    return folder


@pytest.mark.parametrize(
    ("folder", "python", "message"),
    [
        ("project", "no-such-python false", "expected Python 3.11, 3.12 or 3.13, found none"),
        ("a:b", sys.executable, "expected a folder without a colon in its path"),
    ],
)
def test_unsuitable_python_or_folder(
    tmp_path: Path, folder: str, python: str, message: str
) -> None:
    project = make_project(tmp_path / folder)
    result = make("setup", f"PYTHON={python}", folder=project)
    assert result.returncode != 0
    assert message in result.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (("repro",), {}, "pipeline.tools.repro  "),
        (("repro",), {"JOBS": "8", "CLUSTER": "staging", "PLAIN": "1"}, "pipeline.tools.repro  "),
        (("repro", "JOBS=2"), {}, "pipeline.tools.repro --jobs 2"),
        (("seeds",), {}, "pipeline.tools.repro  --seeds"),
        (("repro", "CLUSTER=a:1", "PLAIN=1"), {}, "pipeline.tools.repro --scheduler a:1 --plain"),
        (("verify", "VARIANT=deep final"), {}, "pipeline.tools.verify deep final"),
    ],
)
def test_options_are_taken_from_the_command_line(
    arguments: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    result = make("--dry-run", *arguments, folder=PROJECT, **environment)
    assert f"python -m {expected}" in result.stdout


@pytest.mark.parametrize("name", ["a$HOME", "[x] it's"])
def test_repro_finds_its_programs_in_any_folder(tmp_path: Path, name: str) -> None:
    folder = make_project(tmp_path / name)
    (folder / ".venv").symlink_to(sys.prefix)
    result = make("--eval", "where: ; @command -v python; $(REPRO)", "where", folder=folder)
    assert result.stdout.startswith(f"{folder}/.venv/bin/python\n")
    assert "No module named 'pipeline'" in result.stderr  # of that Python


# Makes environments whose pip installs nothing.
STUB = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
echo made >> made.txt
{sys.executable} -m venv --without-pip --clear .venv
pip=.venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/pip
mkdir $pip
touch $pip/__init__.py $pip/__main__.py
# As pip does in a path with spaces.
printf '#!/bin/sh\\n%s "%s/.venv/bin/python" "$0"' "'''exec'" "$PWD" > .venv/bin/pip
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A project after `make setup`."""
    folder = make_project(tmp_path / "a folder with spaces")
    (folder / "python").write_text(STUB)
    (folder / "python").chmod(0o755)
    assert times_made(folder) == 1
    return folder


def times_made(folder: Path) -> int:
    """How often .venv was made in total, after another `make setup`."""
    done = make("setup", "PYTHON=./python", folder=folder)
    assert done.returncode == 0, done.stderr
    return len((folder / "made.txt").read_text().split())


def test_set_up_installs_a_new_lock_once(made: Path) -> None:
    done = make("setup", "PYTHON=./python", folder=made)
    assert (done.stdout, done.stderr) == ("make: Nothing to be done for 'setup'.\n", "")
    (made / "requirements/lock.txt").touch()
    os.utime(made / ".venv/ready", (0, 0))
    done = make("setup", "PYTHON=./python", folder=made)
    assert done.stdout.startswith("Installing the packages of requirements/lock.txt")
    assert times_made(made) == 1


def test_environments_that_do_not_work_are_made_anew(made: Path) -> None:
    copy = shutil.copytree(made, made.with_name("copy"), symlinks=True)
    assert times_made(copy) == 2
    assert times_made(made) == 1
    moved = made.rename(made.with_name("moved"))
    assert times_made(moved) == 2
    (moved / ".venv/bin/python").unlink()
    assert times_made(moved) == 3
    (library,) = (moved / ".venv/lib").iterdir()  # packages are in a folder named by version
    library.rename(library.with_name("python3.9"))
    assert times_made(moved) == 4


def test_linked_environment_is_never_cleared(made: Path) -> None:
    folder = make_project(made.with_name("linking"))
    (folder / ".venv").symlink_to(made / ".venv")
    pip = made / ".venv/bin/pip"
    pip.write_text(pip.read_text().replace(str(made), "/elsewhere"))
    assert make("setup", "PYTHON=./python", folder=folder).returncode == 2
    assert pip.exists()


def test_plots_need_no_network_in_a_version_that_takes_dvcs_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    workspace.run(folder, "git", "init", "--quiet")
    workspace.run(folder, "dvc", "init", "--quiet")
    (folder / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    (folder / "dvc.yaml").write_text("plots: [{history.csv: {x: epoch, y: loss}}]\n")
    repository.plots()
    workspace.run(folder, "dvc", "plots", "show", "--html-template", str(repository.PLOTS))
    text = (folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    (libraries,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert "vegaEmbed" in libraries
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", text.replace(libraries, ""))
    (plot,) = re.findall(r"var spec = (\{.*?\});\s*vegaEmbed", text, re.S)
    assert "vega-lite/v5" in json.loads(plot)["$schema"]
    drawn = vl_convert.vegalite_to_svg(plot, vl_version=repository.VEGA_LITE)
    assert ">epoch<" in drawn
    assert ">loss<" in drawn


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the project with the environment of this interpreter."""
    folder = tmp_path / "project"
    workspace.run(PROJECT, "git", "clone", "--quiet", str(PROJECT), str(folder))
    link_environment(folder)
    return folder


def link_environment(folder: Path) -> None:
    (folder / ".venv").symlink_to(sys.prefix)
    os.utime(folder / "requirements/lock.txt", (0, 0))  # .venv is newer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_quick_changes_no_result(clone: Path) -> None:
    done = make("quick", "JOBS=2", folder=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = pd.read_csv(clone / ".quick/reports/comparison.csv")["variant"]
    variants = read_params(PROJECT / "params.yaml")["variants"]
    assert {first for first, *_ in group_seeds(variants)} == set(rows)
    changed = ("git", "status", "--porcelain", "--untracked-files=no")
    assert workspace.run(clone, *changed) == ""
    assert [path.name for path in (clone / "models").iterdir()] == ["README.md"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_study_of_photos(clone: Path) -> None:
    photos, folder = clone.parent / "photos", clone.parent / "a b's"
    images, labels = synthetic.make_images(24, seed=0)  # ten photos a class, and four for test
    for number, (image, label) in enumerate(zip(images, labels % 2, strict=True)):
        path = photos / ("train" if number < 20 else "test") / ("rose", "tulip")[label]
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / f"{number}.png")
    identity = workspace.environment()
    done = make("study", "DIR=../a b's", "PHOTOS=../photos", "SIDE=32", folder=clone, **identity)
    assert done.returncode == 0, done.stdout + done.stderr
    params = workspace.read_params(folder)
    names = ("best", "pretrained", "fine_tuned")
    params["variants"] = {name: params["variants"][name] for name in names}
    for backbone in params["backbones"].values():
        backbone |= {"side": 32, "batch_size": 4}
    for recipe in params["recipes"].values():
        recipe["epochs"] = 2
    workspace.write_params(folder, params)
    backbone_file.install(folder)
    link_environment(folder)
    done = make("repro", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "reports/index.html").exists()
    tested = sorted(map(str, photos.glob("test/*/*.png")))
    for variant in params["variants"]:
        command = ("python", "-m", "pipeline.predict", "--json", "--variant", variant)
        predicted = json.loads(workspace.run(folder, *command, *tested))["predictions"]
        found = [row["top"][0]["probability"] for row in predicted]
        expected = pd.read_csv(folder / f"reports/variants/{variant}/predictions.csv")["confidence"]
        assert found == pytest.approx(list(expected), abs=1e-3)
    workspace.commit(folder)
    verify = ("python", "-m", "pipeline.tools.verify", "fine_tuned")
    assert "verify: fine_tuned: same bytes" in workspace.run(folder, *verify)
    workspace.run(folder, "python", "-m", "pipeline.tools.repository", "prune")
    assert workspace.run(folder, "git", "status", "--short") == ""
    params["recipes"]["head"]["epochs"] = 3
    workspace.write_params(folder, params)
    with contextlib.chdir(folder):
        planned = [stage.name for stage in plan_stages() if stage.status == "will run"]
    assert planned[0] == "train@pretrained", "features stay"
    del params["variants"]["pretrained"], params["backbones"]["efficientnet_lite2"]
    workspace.write_params(folder, params)
    workspace.run(folder, "python", "-m", "pipeline.tools.repository", "prune")
    assert not list(folder.glob("data/efficientnet_lite2/*.npz"))
    assert "features@efficientnet_lite2:" not in (folder / "dvc.lock").read_text()
