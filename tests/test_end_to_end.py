"""The real pipeline on the real data, with a small budget."""

import json
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import declared
import pytest
import workspace
from conftest import PROJECT

from pipeline.evaluation.metrics import METRICS
from pipeline.tools import new_project
from pipeline.tools.plan import plan_stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


VARIANTS = ("baseline", "final", "sgd", "fast")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after one short run of every stage, committed."""
    workspace.run(PROJECT, "python", "-c", "from pipeline.datasets import fetch; fetch.main([])")
    folder = workspace.copy_project(tmp_path_factory.mktemp("end_to_end") / "project")
    params = new_project.quick_params(workspace.read_params(PROJECT))
    workspace.write_params(folder, params)
    workspace.drop_variants(folder, *params["variants"].keys() - set(VARIANTS))
    workspace.run(folder, "python", "-m", "pipeline", "fetch", str(PROJECT / "data/raw"))
    assert _ran(workspace.run(folder, "dvc", "repro")) == set(declared.stages(folder))
    workspace.run(folder, "git", "checkout", "--quiet", "-B", "main")
    return workspace.commit(folder)


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
    metrics = json.loads((project / "reports/variants/final/metrics.json").read_text())
    assert metrics["accuracy"] > 0.15  # chance is 0.1; one epoch on 4,000 images
    assert _ran(workspace.run(project, "dvc", "repro")) == set()
    with chdir(project):
        assert plan_stages() == []
    assert workspace.run(project, "git", "status", "--porcelain") == ""


def test_a_changed_parameter_runs_one_variant(project: Path) -> None:
    params = workspace.read_params(project)
    params["variants"]["final"]["dense"] = 256
    workspace.write_params(project, params)
    with chdir(project):
        plan = plan_stages()
    reasons = {stage.name: stage.reasons for stage in plan if stage.status == "will run"}
    # compare groups the variants by their settings, and the page shows them.
    changed = {"train@final": "variants.final", "compare": "variants", "page": "variants"}
    assert reasons == {name: (f"{key} modified",) for name, key in changed.items()}
    diff = workspace.run(project, "dvc", "params", "diff")
    assert re.search(r"variants\.final\.dense\s+512\s+256", diff)
    assert len(diff.splitlines()) == 2, "a header and one row"
    assert _ran(workspace.run(project, "dvc", "repro")) == {*changed, "evaluate@final"}
    changes = workspace.run(project, "dvc", "metrics", "diff")
    assert set(re.findall(r"reports/variants/(\w+)/metrics\.json", changes)) == {"final"}


def test_dvc_shows_metrics_plots_and_an_experiment(project: Path) -> None:
    shown = workspace.run(project, "dvc", "metrics", "show").splitlines()
    assert len(shown) == 1 + len(workspace.read_params(project)["variants"])
    assert shown[0].split()[1:] == sorted([*METRICS, "parameters"])
    plots = workspace.run(project, "dvc", "plots", "show")
    assert (project / "dvc_plots/index.html").exists()
    assert not {"WARNING", "ERROR"} & set(re.findall(r"\w+", plots))
    command = "dvc exp run --quiet --name narrow -S variants.baseline.dense=8"
    workspace.run(project, *command.split())
    difference = workspace.run(project, "dvc", "exp", "diff", "main", "narrow")
    assert re.search(r"variants\.baseline\.dense\s+16\s+8", difference)


def _ran(output: str) -> set[str]:
    return set(re.findall(r"^Running stage '([^']+)'", output, re.MULTILINE))
