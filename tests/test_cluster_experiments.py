"""Experiments that DVC has queued, run on other machines."""

import json
import shutil
from pathlib import Path

import pytest
import workspace
from clusters import Cluster, commit, head, ran

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TRAINING, ANSWER = ("-S", "variants.baseline.dense=24"), "evaluate.examples"
EXPERIMENT = ("dvc", "exp", "run", *TRAINING, "-S")


def content(folder: Path, name: str) -> str:
    """The content of an experiment, as git names it."""
    refs = workspace.run(folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps")
    (ref,) = [ref for ref in refs.split() if ref.endswith(f"/{name}")]
    return workspace.run(folder, "git", "rev-parse", f"{ref}^{{tree}}")


def test_a_grid_makes_the_experiments_that_dvcs_own_queue_makes(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    workspace.run(clustered, "dvc", "repro", "--quiet")
    commit(clustered)
    alone = tmp_path / "alone"
    shutil.copytree(clustered, alone, symlinks=True)
    (clustered / "ran.txt").unlink()
    workspace.run(clustered, *EXPERIMENT, f"{ANSWER}=1,2", "--queue", "--name", "grid")
    cluster.work()
    cluster.work()

    said = head(clustered, cluster, "--queue")

    assert "grid-1/train@baseline  started, log in logs/grid-1/train@baseline.log" in said
    apart = ["compare", "evaluate@baseline", "evaluate@fast", "page"]
    assert ran(cluster) == sorted([*apart, *apart, "train@baseline"])  # which both share
    assert not (clustered / "ran.txt").exists()
    assert workspace.run(clustered, "git", "status", "--porcelain") == ""
    listed = workspace.run(clustered, "dvc", "exp", "show", "--csv")
    for number in (1, 2):
        name = f"grid-{number}"
        workspace.run(alone, *EXPERIMENT, f"{ANSWER}={number}", "--temp", "--name", name)
        assert content(clustered, name) == content(alone, name)
        (row,) = [line for line in listed.splitlines() if line.startswith(f"{name},")]
        workspace.run(alone, "dvc", "exp", "apply", name)
        metrics = (alone / "reports/variants/baseline/metrics.json").read_text()
        assert str(json.loads(metrics)["accuracy"]) in row
    assert "no experiment is queued" in head(clustered, cluster, "--queue")
