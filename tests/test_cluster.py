"""Stages side by side on this machine, by the real DVC, in a small pipeline of shell commands."""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import workspace
from conftest import PROJECT
from dvc.repo import Repo

from pipeline.core import files
from pipeline.tools import environment, repository

# The first variant is the slowest, so that the order of ending is not the order of dvc.yaml.
DVC_YAML = """
stages:
  prepare:
    cmd: cp source.txt data.txt
    deps: [source.txt]
    outs: [data.txt]
  train:
    foreach: ${variants}
    do:
      cmd: sh train.sh ${key} ${item.seconds}
      deps: [data.txt]
      params: ["variants.${key}"]
      outs: ["${key}.txt"]
  compare:
    cmd: cat slow.txt quick.txt > table.txt
    deps: [slow.txt, quick.txt]
    outs: [table.txt]
"""
PARAMS = "variants:\n  slow: {seed: 1, seconds: 2}\n  quick: {seed: 1, seconds: 0}\n"
# `quick` ends once both run.
TRAIN = """
test -e broken-$1 && { echo no memory for $1; exit 3; }
touch begun-$1
until test -e begun-slow; do sleep 0.1; done
sleep $2 && cat data.txt > $1.txt
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    Repo.init(no_scm=True).close()
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("params.yaml").write_text(PARAMS)
    Path("train.sh").write_text(TRAIN)
    Path("source.txt").write_text("pixels\n")
    return root


def _run(project: Path, *arguments: str, expect: int = 0) -> str:
    return workspace.run(project, "python", "-m", "pipeline.tools.repro", *arguments, expect=expect)


def test_side_by_side_and_the_entries_of_a_sequential_run(project: Path) -> None:
    files.write_json(environment.path("train@slow"), {"seconds": 9.0})
    output = _run(project, "--jobs", "2")
    starts = [line.split()[1].strip(",") for line in output.splitlines() if "log in" in line]
    assert starts == ["prepare", "train@quick", "train@slow", "compare"]  # first the unknown
    parallel = repository.read_entries()
    Path("dvc.lock").unlink()
    shutil.rmtree(".dvc/cache")
    with Repo() as repo:
        repo.reproduce()
    assert repository.read_entries() == parallel
    assert _run(project, "--jobs", "2") == "everything is up to date\n"


def test_a_failure_stops_only_what_is_behind_it(project: Path) -> None:
    Path("broken-quick").touch()
    Path("logs").mkdir()
    Path("logs/compare.log").write_text("of an earlier run")
    output = _run(project, "--jobs", "2", "compare", expect=1)
    assert "train@quick  failed" in output
    assert "\n  no memory for quick\n" in output
    assert output.endswith("not started: compare\n")
    assert list(repository.read_entries()) == ["prepare", "train@slow"]
    logs = {path.stem for path in Path("logs").iterdir()}
    assert logs == {"prepare", "train@slow", "train@quick"}
    # One after another, the first failure is the last stage; another target does not need it.
    output = _run(project, "compare", expect=1)
    assert "no memory for quick" in output
    _run(project, "train@slow")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_no_process(project: Path, number: signal.Signals) -> None:
    Path("params.yaml").write_text(PARAMS.replace("2", "60").replace("0}", "60}"))
    if number == signal.SIGTERM:
        Path("train.sh").write_text(f"trap '' INT{TRAIN}")  # it ends by SIGKILL
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.tools.repro", "--jobs", "2"],
        # Under nohup the tests ignore it, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120  # two where the machine is idle
    while not (Path("begun-slow").exists() and Path("begun-quick").exists()):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    process.send_signal(number)
    process.wait(30)

    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert workspace.left_in(project) == []
    assert not Path("slow.txt").exists()
    assert "prepare:" in Path("dvc.lock").read_text()
    with Repo() as repo:  # no lock is left behind
        repo.status()


@pytest.mark.parametrize("mistake", ["--jobs 2 train@absent", "--scheduler host.example.org:8786"])
def test_mistakes_are_named(project: Path, mistake: str) -> None:
    output = _run(project, *mistake.split(), expect=1)
    assert re.search("train@absent|encryption", output)
    assert "Traceback" not in output
