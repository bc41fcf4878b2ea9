"""Stages on other machines: workers with homes and clones of their own, a git repository and a DVC
remote between them, on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import declared
import processes
import pytest
import workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FAILS = """
    if variant == "fast":
        sys.exit("no memory")
    if stage == "train":"""
VARIANTS = ("baseline", "fast")
DASK = (sys.executable, "-m")
HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


class Cluster:
    """A scheduler and workers, each a process of its own session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]
        )
        self.workers: list[subprocess.Popen[bytes]] = []

    def work(self, **environment: str) -> subprocess.Popen[bytes]:
        """One more worker, as on a machine of its own."""
        home = self.folder / f"home{len(self.workers)}"
        home.mkdir()
        own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **environment}
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(home))
        self.workers.append(self._start("worker", self.address, *options, **own))
        return self.workers[-1]

    def _start(self, kind: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [*DASK, f"distributed.cli.dask_{kind}", *arguments, *HTTP],
                cwd=self.folder,
                env={**workspace.environment(), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    found = Cluster(tmp_path / "cluster")
    yield found
    found.end()


def commit(folder: Path) -> None:
    workspace.run(folder, "git", "add", ".")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "test")
    workspace.run(folder, "git", "push", "--quiet", "origin", "HEAD:main")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with stub stages and few variants, committed and pushed, with a DVC remote."""
    folder = workspace.with_stub_stages(workspace.copy_project(tmp_path / "head"))
    known = workspace.read_params(folder)["variants"]
    workspace.drop_variants(folder, *set(known) - set(VARIANTS))
    workspace.run(tmp_path, "git", "init", "--quiet", "--bare", "-b", "main", "shared.git")
    workspace.run(folder, "git", "remote", "add", "origin", str(tmp_path / "shared.git"))
    store = str(tmp_path / "store")
    workspace.run(folder, "dvc", "remote", "add", "--default", "store", store)
    with (folder / ".gitignore").open("a") as ignored:
        ignored.write("/ran.txt\n")
    commit(folder)
    return folder


def head(project: Path, cluster: Cluster, *arguments: str, expect: int = 0) -> str:
    command = ("python", "-m", "pipeline.ops.cluster", "--scheduler", cluster.address)
    return workspace.run(project, *command, *arguments, expect=expect)


def ran(cluster: Cluster) -> list[str]:
    """The stages that ran anywhere, sorted."""
    notes = cluster.folder.rglob("ran.txt")
    return sorted(line for note in notes for line in note.read_text().split())


def stages() -> list[str]:
    single = ["fetch", "preprocess", "explore", "compare", "page"]
    return sorted(
        single + [f"{kind}@{name}" for kind in ("train", "evaluate") for name in VARIANTS]
    )


def test_the_lock_and_the_outputs_are_those_of_one_machine(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.work()
    cluster.work()
    said = head(project, cluster)

    assert "train@fast  started, log in logs/train@fast.log" in said
    assert ran(cluster) == stages()
    assert not (project / "ran.txt").exists()
    assert workspace.run(project, "dvc", "status", "--quiet") == ""
    log = (project / "logs/train@fast.log").read_text()
    assert "Running stage 'train@fast'" in log
    alone = tmp_path / "alone"
    workspace.run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "shared.git"), str(alone))
    workspace.run(alone, "dvc", "repro", "--quiet")
    assert (project / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    for out in declared.stages(project).values():
        for path in out.outs:
            if (alone / path).is_file():
                assert (project / path).read_bytes() == (alone / path).read_bytes()
    assert "everything is up to date" in head(project, cluster)


def begun(cluster: Cluster, process: subprocess.Popen[bytes], stage: str) -> None:
    """Wait until `process`, a worker, has begun `stage`."""
    note = cluster.folder / f"home{cluster.workers.index(process)}/cache"
    deadline = time.monotonic() + 60
    while not any(stage in found.read_text() for found in note.rglob("ran.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def in_background(project: Path, cluster: Cluster) -> subprocess.Popen[str]:
    command = ("-m", "pipeline.ops.cluster", "--scheduler", cluster.address)
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=project,
        env={**workspace.environment(), "DVC_SITE_CACHE_DIR": str(project.parent / "site")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_of(cluster: Cluster, process: subprocess.Popen[bytes]) -> list[int]:
    """The processes in a worker's clone, once those that end have ended."""
    clones = cluster.folder / f"home{cluster.workers.index(process)}/cache"
    found = (processes.left_in(path.parent) for path in clones.rglob(".git"))
    return [one.pid for each in found for one in each]


def test_the_stage_of_a_killed_worker_runs_on_elsewhere(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    lost = cluster.work(STUB_SECONDS="120")
    running = in_background(project, cluster)
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
    assert workspace.run(project, "dvc", "status", "--quiet") == ""


def test_an_interrupted_head_stops_the_workers(project: Path, cluster: Cluster) -> None:
    worker = cluster.work(STUB_SECONDS="120")
    running = in_background(project, cluster)
    begun(cluster, worker, "train@")
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert left_of(cluster, worker) == []
    assert "preprocess:" in (project / "dvc.lock").read_text()  # what has ended is kept
    assert "train@" not in (project / "dvc.lock").read_text()


def test_a_lost_scheduler_is_told(project: Path, cluster: Cluster) -> None:
    worker = cluster.work(STUB_SECONDS="120")
    running = in_background(project, cluster)
    begun(cluster, worker, "train@")
    cluster.scheduler.kill()
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 1, said
    assert "the Dask scheduler is gone" in said
    assert "Traceback" not in said


def test_workers_get_what_was_made_on_the_head_since_the_commit(
    project: Path, cluster: Cluster
) -> None:
    workspace.run(project, "dvc", "repro", "--quiet", "train@fast")
    here = (project / "ran.txt").read_text().split()
    cluster.work()
    head(project, cluster, "evaluate@fast")
    assert sorted([*here, *ran(cluster)]) == ["evaluate@fast", "fetch", "preprocess", "train@fast"]
    assert ran(cluster) == ["evaluate@fast"]
    assert (project / "models/fast.tflite").exists()


def test_a_failure_holds_back_what_needs_it(project: Path, cluster: Cluster) -> None:
    stub = project / "pipeline/__main__.py"
    text = stub.read_text().replace(
        'if stage == "train":',
        'if variant == "fast":\n        sys.exit("no memory")\n    if stage == "train":',
    )
    stub.write_text(text)
    commit(project)
    cluster.work()
    said = head(project, cluster, expect=1)
    assert "evaluate@baseline  done" in said
    assert "train@fast  failed, see logs/train@fast.log" in said
    assert "  no memory\n" in said
    assert "evaluate@fast" not in said
    assert "compare" not in said


def test_a_worker_with_other_libraries_gets_no_stage(project: Path, cluster: Cluster) -> None:
    pins = project / "requirements/numpy.txt"
    pins.write_text("numpy==1.2.3\n")
    commit(project)
    cluster.work()
    said = head(project, cluster, expect=1)
    assert "gets no stage: it lacks numpy 1.2.3, found 2." in said
    assert "none of its 1 workers can run stages; `make setup`" in said
    assert ran(cluster) == []


def test_what_workers_cannot_know_is_refused_beforehand(project: Path, cluster: Cluster) -> None:
    cluster.work()
    code = project / "pipeline/base/files.py"
    code.write_text(code.read_text() + "\n# new\n")
    said = head(project, cluster, expect=1)
    assert "not committed: pipeline/base/files.py; workers know commits alone" in said
    workspace.run(project, "git", "commit", "--quiet", "--all", "--message", "here alone")
    said = head(project, cluster, expect=1)
    assert "expected it in a branch of origin" in said
    workspace.run(project, "git", "push", "--quiet", "origin", "HEAD:main")
    workspace.run(project, "dvc", "remote", "remove", "store")
    commit(project)
    assert "expected a DVC remote" in head(project, cluster, expect=1)
    assert ran(cluster) == []


def test_a_remote_that_is_down_for_a_moment(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """Not there when the first outputs are to be pushed: tried again until it is."""
    store = tmp_path / "store"
    store.write_text("no folder")
    cluster.work()
    running = in_background(project, cluster)
    log = project / "logs/fetch.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "dvc push failed; again in" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    store.unlink()
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert ran(cluster) == stages()
