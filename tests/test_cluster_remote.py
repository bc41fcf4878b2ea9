"""Stages on other machines: workers with homes and clones of their own, on loopback."""

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from unittest.mock import Mock

import declared
import pytest
import workspace
from clusters import Cluster, commit, finished, ran, stages, wait_for

from pipeline.cluster import lock, worker
from pipeline.cluster.remote import RemoteBackend
from pipeline.core.errors import PipelineError

LONG = {"STUB_SECONDS": "120"}  # of a training
slow = pytest.mark.slow
pytestmark = pytest.mark.timeout(600)


@slow
def test_the_lock_and_the_outputs_are_those_of_one_machine(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """Though the remote is away for a moment, and a worker is killed during a training."""
    store = tmp_path / "store"
    store.write_text("no folder")
    lost = cluster.work(**LONG)
    head = cluster.head(clustered)
    wait_for(clustered, "fetch")
    time.sleep(10)  # DVC fails within 2 s
    store.unlink()
    wait_for(clustered, "train@")
    os.killpg(lost.pid, signal.SIGKILL)  # the stage is of another session, as on any machine
    cluster.work()
    cluster.work()
    finished(head)

    assert cluster.left() == []
    (again,) = [name for name in stages() if ran(clustered).count(name) == 2]
    assert ran(clustered) == sorted([*stages(), again])
    assert again.startswith("train@")
    assert not (clustered / "ran.txt").exists()
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""
    alone = tmp_path / "alone"
    workspace.run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "shared.git"), str(alone))
    workspace.run(alone, "dvc", "repro", "--quiet")
    assert (clustered / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    for stage in declared.stages(clustered).values():
        for path in stage.outs:
            workspace.run(tmp_path, "diff", "--recursive", f"{clustered}/{path}", f"{alone}/{path}")
    assert "everything is up to date" in finished(cluster.head(clustered))


@slow
@pytest.mark.parametrize("interrupted", [True, False])
def test_no_stage_outlives_the_head_or_the_scheduler(
    clustered: Path, cluster: Cluster, interrupted: bool
) -> None:
    cluster.work(**LONG)
    head = cluster.head(clustered)
    wait_for(clustered, "train@")
    if interrupted:
        head.send_signal(signal.SIGINT)
        finished(head, 130)
    else:
        cluster.scheduler.kill()
        assert "the Dask scheduler is gone" in finished(head, 1)
    assert cluster.left() == []
    recorded = (clustered / "dvc.lock").read_text()
    assert "preprocess:" in recorded  # what has ended is kept
    assert "train@" not in recorded


@slow
def test_workers_get_what_the_head_made_since_the_commit(clustered: Path, cluster: Cluster) -> None:
    """A failed stage leaves its log on the head, and what needs it is not started."""
    with (clustered / "pipeline/__main__.py").open("a") as stub:
        stub.write('if sys.argv[1:] == ["evaluate", "fast"]:\n    sys.exit("no memory")\n')
    commit(clustered)
    workspace.run(clustered, "dvc", "repro", "--quiet", "train@fast")
    cluster.work()

    output = finished(cluster.head(clustered), 1)

    made = ["evaluate@baseline", "evaluate@fast", "explore", "export", "train@baseline"]
    assert ran(clustered) == made
    assert (clustered / "models/baseline.tflite").exists()
    assert "evaluate@fast  failed" in output
    assert "\n  no memory\n" in output
    assert output.endswith("not started: compare, page\n")


@slow
def test_unsuitable_workers_are_named_and_get_no_more_stages(
    clustered: Path, cluster: Cluster
) -> None:
    """One without git, and one with another version of Python than its libraries are for."""
    cluster.work(PATH="/nonexistent")
    if other := next(Path(sys.base_prefix).parent.glob("3.13*/bin/python"), None):
        cluster.work(python=str(other), PYTHONPATH=sysconfig.get_path("purelib"))
    unsuitable = len(cluster.workers)
    head = cluster.head(clustered, "train@fast")
    assert head.stdout
    for _ in range(unsuitable):
        while "returned by tcp://" not in head.stdout.readline():
            assert head.poll() is None
    cluster.work(**LONG)
    while not (line := head.stdout.readline()).startswith("train@fast"):
        assert line
        assert "returned" not in line
    wait_for(clustered, "train@fast")
    cluster.workers[-1].kill()  # the only one that the stage may run on
    cluster.work()
    finished(head)
    others = [name for name in ran(clustered) if name != "fetch"]  # which an unsuitable one ran
    assert others == ["preprocess", "train@fast", "train@fast"]
    cluster.workers[-1].kill()
    output = finished(cluster.head(clustered, "train@baseline"), 1)
    assert "expected a suitable Dask worker" in output


def test_what_workers_cannot_get_is_refused(
    clustered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clustered)
    lock.write_entries({})
    Path("reports/new.csv").touch()
    url = "https://me:secret@example.org/it.git"
    workspace.run(clustered, "git", "remote", "set-url", "origin", url)
    first, second = RemoteBackend(Mock(), []), RemoteBackend(Mock(), [])
    assert first.changed == {Path("dvc.lock"), Path("reports/new.csv")}
    assert first.common["repository"] == "https://example.org/it.git"  # workers' own password
    assert first.common["topic"] != second.common["topic"]  # each head listens to its own stages
    for command, match in (
        (("dvc", "remote", "remove", "store"), r"committed: \.dvc/config"),
        (("git", "commit", "--quiet", "--all", "--message", "local"), "git push"),
        (("git", "update-ref", "refs/remotes/origin/main", "HEAD"), "dvc remote add"),
        (("git", "remote", "remove", "origin"), "origin"),
    ):
        workspace.run(clustered, *command)
        with pytest.raises(PipelineError, match=match):
            RemoteBackend(Mock(), [])


def test_a_command_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[int] = []
    monkeypatch.setattr("pipeline.cluster.worker.time.sleep", slept.append)
    statuses = iter([1, 1, 0, 1, 1])
    worker.run_with_retries(lambda *_: next(statuses), "dvc", "pull", pauses=(1, 2, 4))
    assert slept == [1, 2]
    with pytest.raises(subprocess.CalledProcessError, match="pull"):
        worker.run_with_retries(lambda *_: next(statuses), "dvc", "pull", pauses=(8,))
    assert slept == [1, 2, 8]
