"""Stages on other machines: workers with homes and clones of their own, on loopback."""

import os
import signal
import sys
import sysconfig
import time
from pathlib import Path

import declared
import pytest
import workspace
from clusters import Cluster, commit, finished, stages

from pipeline.base.errors import PipelineError
from pipeline.cluster import worker
from pipeline.cluster.project import Project, without_password
from pipeline.cluster.remote import expect_encrypted

LONG = {"STUB_SECONDS": "120"}  # of a training
slow = pytest.mark.slow
pytestmark = pytest.mark.timeout(600)


@slow
def test_the_lock_and_the_outputs_are_those_of_one_machine(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.work()
    cluster.work()
    cluster.run(clustered)

    assert cluster.ran() == stages()
    assert not (clustered / "ran.txt").exists()
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""
    assert "Running stage 'train@fast'" in (clustered / "logs/train@fast.log").read_text()
    alone = tmp_path / "alone"
    workspace.run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "shared.git"), str(alone))
    workspace.run(alone, "dvc", "repro", "--quiet")
    assert (clustered / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    outs = [path for stage in declared.stages(clustered).values() for path in stage.outs]
    for path in outs:
        if (alone / path).is_file():
            assert (clustered / path).read_bytes() == (alone / path).read_bytes()
    assert "everything is up to date" in cluster.run(clustered)


@slow
def test_the_stage_of_a_killed_worker_runs_again_on_another(
    clustered: Path, cluster: Cluster
) -> None:
    lost = cluster.work(**LONG)
    head = cluster.head(clustered)
    cluster.wait_for(0, "train@")
    os.killpg(lost.pid, signal.SIGKILL)  # the stage is of another session, as on any machine
    cluster.work()
    finished(head)
    assert cluster.left() == []
    again = [name for name in stages() if cluster.ran().count(name) == 2]
    assert cluster.ran() == sorted([*stages(), *again])
    assert [name.partition("@")[0] for name in again] == ["train"]
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""


@slow
@pytest.mark.parametrize("interrupted", [True, False])
def test_no_stage_outlives_the_head_or_the_scheduler(
    clustered: Path, cluster: Cluster, interrupted: bool
) -> None:
    cluster.work(**LONG)
    head = cluster.head(clustered)
    cluster.wait_for(0, "train@")
    if interrupted:
        head.send_signal(signal.SIGINT)
        assert "interrupted: " in finished(head, 130)
    else:
        cluster.scheduler.kill()
        assert "the Dask scheduler is gone" in finished(head, 1)
    assert cluster.left() == []
    lock = (clustered / "dvc.lock").read_text()
    assert "preprocess:" in lock  # what has ended is kept
    assert "train@" not in lock


@slow
def test_workers_get_what_the_head_made_since_the_commit(clustered: Path, cluster: Cluster) -> None:
    """A failed stage leaves its log on the head, and what needs it is not started."""
    with (clustered / "pipeline/__main__.py").open("a") as stub:
        stub.write('if sys.argv[1:] == ["evaluate", "fast"]:\n    sys.exit("no memory")\n')
    commit(clustered)
    workspace.run(clustered, "dvc", "repro", "--quiet", "train@fast")
    cluster.work()

    output = cluster.run(clustered, expect=1)

    made = ["evaluate@baseline", "evaluate@fast", "explore", "export", "train@baseline"]
    assert cluster.ran() == made
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
    cluster.wait_for(unsuitable, "train@fast")
    cluster.workers[-1].kill()  # the only one that the stage may run on
    cluster.work()
    assert "returned" not in finished(head)
    assert cluster.ran() == ["fetch", "preprocess", "train@fast", "train@fast"]
    cluster.workers[-1].kill()
    output = cluster.run(clustered, "train@baseline", expect=1)
    assert "expected a Dask worker that can run stages" in output


@slow
def test_a_remote_that_is_down_for_a_moment(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.write_text("no folder")
    cluster.work()
    head = cluster.head(clustered)
    cluster.wait_for(0, "fetch")
    time.sleep(10)  # DVC fails within 2 s
    store.unlink()
    finished(head)
    assert cluster.ran() == stages()


def test_what_workers_cannot_get_is_refused(
    clustered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clustered)
    (clustered / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (clustered / "reports/new.csv").touch()
    first, second = Project(set()), Project(set())
    assert first.changed == {Path("dvc.lock"), Path("reports/new.csv")}
    assert first.common["topic"] != second.common["topic"]  # each head listens to its own stages
    workspace.run(clustered, "dvc", "remote", "remove", "store")
    with pytest.raises(PipelineError, match=r"committed: \.dvc/config"):
        Project(set())
    commit(clustered)
    with pytest.raises(PipelineError, match="DVC remote"):
        Project(set())
    workspace.run(clustered, "git", "commit", "--quiet", "--allow-empty", "--message", "local")
    with pytest.raises(PipelineError, match="git push"):
        Project(set())
    workspace.run(clustered, "git", "remote", "remove", "origin")
    with pytest.raises(PipelineError, match="git remote"):
        Project(set())


@pytest.mark.parametrize(
    "address", ["tls://host.example.org:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786"]
)
def test_encrypted_or_loopback(address: str) -> None:
    expect_encrypted(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:secret@example.org/it.git", "https://example.org/it.git"),
        ("https://token@example.org/it.git", "https://example.org/it.git"),
        ("ssh://git@example.org/it.git", "ssh://git@example.org/it.git"),
        ("git@example.org:it.git", "git@example.org:it.git"),
        ("/srv/it.git", "/srv/it.git"),
    ],
)
def test_workers_get_no_password(url: str, expected: str) -> None:
    assert without_password(url) == expected


def test_a_clone_is_kept_without_files_of_other_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", ())
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    workspace.run(tmp_path, "git", "init", "--quiet", str(origin))
    (origin / ".gitignore").write_text("/models/\n")
    workspace.run(origin, "git", "add", ".")
    workspace.run(origin, "git", "commit", "--quiet", "--message", "test")
    commit = workspace.run(origin, "git", "rev-parse", "HEAD").strip()

    def check_out(commit: str) -> None:
        worker.check_out(commit, str(origin), clone, worker.run_process)

    check_out(commit)
    (clone / "models").mkdir()
    (clone / "reports").mkdir()
    (clone / "reports/metrics.json").touch()
    (clone / ".gitignore").write_text("/models/\n# changed\n")
    check_out(commit)
    assert (clone / ".gitignore").read_text() == "/models/\n"
    assert not (clone / "reports").exists()
    assert (clone / "models").exists()
    (clone / ".git/index.lock").touch()  # as a git that was killed leaves it
    check_out(commit)
    assert not (clone / "models").exists()  # cloned anew
    with pytest.raises(RuntimeError, match="checkout"):
        check_out("0" * 40)


def test_a_command_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[int] = []
    monkeypatch.setattr("pipeline.cluster.worker.time.sleep", slept.append)
    statuses = iter([1, 1, 0, 1, 1])
    worker.run_with_retries(lambda *_: next(statuses), "dvc", "pull", pauses=(1, 2, 4))
    assert slept == [1, 2]
    with pytest.raises(RuntimeError, match="dvc pull"):
        worker.run_with_retries(lambda *_: next(statuses), "dvc", "pull", pauses=(8,))
    assert slept == [1, 2, 8]
