"""The real pipeline on the real data, with a small budget, used the way the README says."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import declared
import pytest
import workspace
from conftest import PROJECT
from PIL import Image

from pipeline.evaluate.metrics import METRICS
from pipeline.tools import quick
from pipeline.tools.plan import Status, plan_stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


VARIANTS = ("baseline", "final", "sgd", "fast")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own after one short run of every stage, committed."""
    workspace.run(PROJECT, "python", "-c", "from pipeline.datasets import fetch; fetch.main([])")
    folder = workspace.copy_project(tmp_path_factory.mktemp("end_to_end") / "project")
    workspace.write_params(folder, quick.quick_params(workspace.read_params(PROJECT)))
    variants = workspace.read_params(folder)["variants"]
    workspace.drop_variants(folder, *set(variants) - set(VARIANTS))
    workspace.run(folder, "python", "-m", "pipeline", "fetch", str(PROJECT / "data/raw"))
    assert _ran(workspace.run(folder, "dvc", "repro")) == set(declared.stages(folder))
    _commit(folder, "first")
    return folder


@pytest.fixture(autouse=True)
def _undo(project: Path) -> Iterator[None]:
    """Each test starts from the committed state."""
    yield
    workspace.run(project, "git", "checkout", "--quiet", "--force", "main")
    workspace.run(project, "dvc", "checkout", "--quiet")


def test_every_output_is_there_and_nothing_is_left_to_do(project: Path) -> None:
    for stage in declared.stages(project).values():
        for out in stage.outs:
            assert (project / out).exists(), out
    assert "up to date" in workspace.run(project, "dvc", "status")
    assert _ran(workspace.run(project, "dvc", "repro")) == set()
    assert plan_stages(root=project) == []
    assert workspace.run(project, "git", "status", "--porcelain") == ""


def test_networks_learned_something(project: Path) -> None:
    metrics = json.loads((project / "reports/variants/final/metrics.json").read_text())
    assert metrics["accuracy"] > 0.15  # chance is 0.1; one epoch on 4,000 images
    assert metrics["parameters"] == 23_562


def test_one_knob_runs_one_variant(project: Path) -> None:
    _set(project, "variants.final.dense", 256)
    plan = plan_stages(root=project)
    will = {stage.name: stage.reasons for stage in plan if stage.status is Status.WILL_RUN}
    # compare groups the variants by their settings, and the page shows them.
    changed = ("train@final", "compare", "page")
    assert will == dict.fromkeys(changed, ("variants.final.dense 512 -> 256",))
    diff = workspace.run(project, "dvc", "params", "diff")
    assert re.search(r"variants\.final\.dense\s+512\s+256", diff)
    assert len(diff.splitlines()) == 2, "a header and one row"
    assert _ran(workspace.run(project, "dvc", "repro")) == {
        "train@final",
        "evaluate@final",
        "compare",
        "page",
    }
    changes = workspace.run(project, "dvc", "metrics", "diff")
    assert set(re.findall(r"reports/variants/(\w+)/metrics\.json", changes)) == {"final"}


def test_a_setting_of_the_gallery_is_cut_off_early(project: Path) -> None:
    _set(project, "evaluate.mistakes", 10)
    stages = {name for name in declared.stages(project) if name.startswith("evaluate@")}
    assert _ran(workspace.run(project, "dvc", "repro")) == stages


def test_a_new_variant_is_yaml_only(project: Path) -> None:
    params = workspace.read_params(project)
    params["variants"]["wide"] = params["variants"]["baseline"] | {"widths": [32]}
    workspace.write_params(project, params)
    stages = {"train@wide", "evaluate@wide", "compare", "page"}
    assert _ran(workspace.run(project, "dvc", "repro")) == stages
    assert "| wide " in (project / "reports/comparison.md").read_text()


def test_dvc_shows_what_its_users_expect(project: Path) -> None:
    dag = workspace.run(project, "dvc", "dag", "--md")
    for stage in declared.stages(project):
        assert stage in dag
    shown = workspace.run(project, "dvc", "metrics", "show")
    assert len(shown.splitlines()) == 1 + len(workspace.read_params(project)["variants"])
    assert shown.splitlines()[0].split()[1:] == sorted([*METRICS, "parameters"])
    plots = workspace.run(project, "dvc", "plots", "show")
    assert (project / "dvc_plots/index.html").exists()
    assert "WARNING" not in plots
    assert "ERROR" not in plots


def test_experiments(project: Path) -> None:
    command = "dvc exp run --quiet --name narrow -S variants.baseline.dense=8"
    workspace.run(project, *command.split())
    difference = workspace.run(project, "dvc", "exp", "diff", "main", "narrow")
    assert re.search(r"variants\.baseline\.dense\s+16\s+8", difference)
    shown = workspace.run(project, "dvc", "exp", "show", "--only-changed", "--csv")
    assert "narrow" in shown, shown


def test_two_point_sweep(project: Path) -> None:
    queue = "dvc exp run --queue -S variants.baseline.dense=4,12"
    workspace.run(project, *queue.split())
    workspace.run(project, "dvc", "queue", "start", "-j", "2")
    try:
        names = _finished(project, 2)
    finally:
        _end_workers(project)
    rows = json.loads(workspace.run(project, "dvc", "exp", "show", "--json"))
    dense = {
        row["name"]: row["revs"][0]["data"]["params"]["params.yaml"]["data"]["variants"][
            "baseline"
        ]["dense"]
        for row in rows[1]["experiments"]
    }
    assert {dense[name] for name in names} == {4, 12}
    chosen = next(name for name in names if dense[name] == 12)
    workspace.run(project, "dvc", "exp", "apply", chosen)
    assert workspace.read_params(project)["variants"]["baseline"]["dense"] == 12
    assert "up to date" in workspace.run(project, "dvc", "status")
    workspace.run(project, "dvc", "exp", "branch", chosen, "twelve")
    assert "twelve" in workspace.run(project, "git", "branch", "--list", "twelve")


def test_a_photo_is_classified(project: Path, tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), (80, 120, 200)).save(tmp_path / "photo.jpg")
    answer = json.loads(
        workspace.run(
            project,
            "python",
            "-m",
            "pipeline.predict",
            str(tmp_path / "photo.jpg"),
            "--json",
        )
    )
    assert len(answer["predictions"]) == 1
    assert sum(top["probability"] for top in answer["predictions"][0]["top"]) <= 1.0001


def _set(project: Path, leaf: str, value: Any) -> None:
    params = workspace.read_params(project)
    section = params
    *parents, key = leaf.split(".")
    for parent in parents:
        section = section[parent]
    section[key] = value
    workspace.write_params(project, params)


def _ran(output: str) -> set[str]:
    return set(re.findall(r"^Running stage '([^']+)'", output, re.MULTILINE))


def _commit(folder: Path, message: str) -> None:
    workspace.run(folder, "git", "add", "--all")
    workspace.run(folder, "git", "commit", "--quiet", "--message", message)
    workspace.run(folder, "git", "branch", "--force", "--move", "main")


def _end_workers(project: Path) -> None:
    """Stop the queue; of two workers one can outlast it, as the first to end may clear away the
    message that ends the other."""
    workspace.run(project, "dvc", "queue", "stop", "--kill")
    for file in (project / ".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def _finished(project: Path, count: int) -> list[str]:
    """The names of the queue's experiments when `count` of them have succeeded."""
    import time

    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        status = workspace.run(project, "dvc", "queue", "status")
        assert "Failed" not in status, status
        names = re.findall(r"^\w+\s+(\S+)\s.*Success", status, re.MULTILINE)
        if len(names) == count:
            return names
        time.sleep(2)
    raise AssertionError(f"the queue did not finish:\n{status}")
