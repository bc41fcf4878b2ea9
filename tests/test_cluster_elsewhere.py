"""Stages on other machines: workers with homes and clones of their own, a git repository and a DVC
remote between them, on loopback."""

import os
import signal
import time
from pathlib import Path

import declared
import pytest
import workspace
from clusters import Cluster, begun, commit, head, in_background, left_of, ran, stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_lock_and_the_outputs_are_those_of_one_machine(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.work()
    cluster.work()
    said = head(clustered, cluster)

    assert "train@fast  started, log in logs/train@fast.log" in said
    assert ran(cluster) == stages()
    assert not (clustered / "ran.txt").exists()
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""
    log = (clustered / "logs/train@fast.log").read_text()
    assert "Running stage 'train@fast'" in log
    alone = tmp_path / "alone"
    workspace.run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "shared.git"), str(alone))
    workspace.run(alone, "dvc", "repro", "--quiet")
    assert (clustered / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    for out in declared.stages(clustered).values():
        for path in out.outs:
            if (alone / path).is_file():
                assert (clustered / path).read_bytes() == (alone / path).read_bytes()
    assert "everything is up to date" in head(clustered, cluster)


def test_the_stage_of_a_killed_worker_runs_on_elsewhere(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    lost = cluster.work(STUB_SECONDS="120")
    running = in_background(clustered, cluster)
    begun(cluster, lost, "train@")
    os.killpg(lost.pid, signal.SIGKILL)  # the stage is of another session, as on any machine
    cluster.work()
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert left_of(cluster, lost) == []
    # Only what the lost worker had under way ran twice, though it had kept what others gave.
    again = [name for name in stages() if ran(cluster).count(name) == 2]
    assert len(again) == 1
    assert again[0].startswith("train@")
    assert ran(cluster) == sorted([*stages(), *again])
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""


def test_an_interrupted_head_stops_the_workers(clustered: Path, cluster: Cluster) -> None:
    worker = cluster.work(STUB_SECONDS="120")
    running = in_background(clustered, cluster)
    begun(cluster, worker, "train@")
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert left_of(cluster, worker) == []
    assert "preprocess:" in (clustered / "dvc.lock").read_text()  # what has ended is kept
    assert "train@" not in (clustered / "dvc.lock").read_text()


def test_a_lost_scheduler_is_told(clustered: Path, cluster: Cluster) -> None:
    worker = cluster.work(STUB_SECONDS="120")
    running = in_background(clustered, cluster)
    begun(cluster, worker, "train@")
    cluster.scheduler.kill()
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 1, said
    assert "the Dask scheduler is gone" in said
    assert "Traceback" not in said


def test_workers_get_what_was_made_on_the_head_since_the_commit(
    clustered: Path, cluster: Cluster
) -> None:
    workspace.run(clustered, "dvc", "repro", "--quiet", "train@fast")
    here = (clustered / "ran.txt").read_text().split()
    cluster.work()
    head(clustered, cluster, "evaluate@fast")
    assert sorted([*here, *ran(cluster)]) == ["evaluate@fast", "fetch", "preprocess", "train@fast"]
    assert ran(cluster) == ["evaluate@fast"]
    assert (clustered / "models/fast.tflite").exists()


def test_a_failure_holds_back_what_needs_it(clustered: Path, cluster: Cluster) -> None:
    stub = clustered / "pipeline/__main__.py"
    text = stub.read_text().replace(
        'if stage == "train":',
        'if variant == "fast":\n        sys.exit("no memory")\n    if stage == "train":',
    )
    stub.write_text(text)
    commit(clustered)
    cluster.work()
    said = head(clustered, cluster, expect=1)
    assert "evaluate@baseline  done" in said
    assert "train@fast  failed, see logs/train@fast.log" in said
    assert "  no memory\n" in said
    assert "evaluate@fast" not in said
    assert "compare" not in said


def test_a_worker_with_other_libraries_gets_no_stage(clustered: Path, cluster: Cluster) -> None:
    pins = clustered / "requirements/numpy.txt"
    pins.write_text("numpy==1.2.3\n")
    commit(clustered)
    cluster.work()
    said = head(clustered, cluster, expect=1)
    assert "none of its 1 workers can run stages: tcp://" in said
    assert " lacks numpy 1.2.3, found 2." in said
    assert "; mend that, where it is libraries by `make setup` of this commit" in said
    assert ran(cluster) == []


def test_what_workers_cannot_know_is_refused_beforehand(clustered: Path, cluster: Cluster) -> None:
    cluster.work()
    code = clustered / "pipeline/base/files.py"
    code.write_text(code.read_text() + "\n# new\n")
    said = head(clustered, cluster, expect=1)
    assert "not committed: pipeline/base/files.py; workers know commits alone" in said
    workspace.run(clustered, "git", "commit", "--quiet", "--all", "--message", "here alone")
    said = head(clustered, cluster, expect=1)
    assert "expected it in a branch of origin" in said
    workspace.run(clustered, "git", "push", "--quiet", "origin", "HEAD:main")
    workspace.run(clustered, "dvc", "remote", "remove", "store")
    commit(clustered)
    assert "expected a DVC remote" in head(clustered, cluster, expect=1)
    assert ran(cluster) == []


def test_a_remote_that_is_down_for_a_moment(
    clustered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """Not there when the first outputs are to be pushed: tried again until it is."""
    store = tmp_path / "store"
    store.write_text("no folder")
    cluster.work()
    running = in_background(clustered, cluster)
    log = clustered / "logs/fetch.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "dvc push failed; again in" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    store.unlink()
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert ran(cluster) == stages()
