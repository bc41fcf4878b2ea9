"""Stages on other machines: workers with homes and clones of their own, a git and a DVC remote."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import dask
import declared
import pytest
import servers
import workspace
import yaml
from conftest import PROJECT
from distributed import LocalCluster
from networks import CENTRE, Network

from pipeline.cluster import remote, worker
from pipeline.core.errors import PipelineError

VARIANTS = ("baseline", "fast")
STAGES = sorted(
    ["fetch", "preprocess", "explore", "export", "compare", "page"]
    + [f"{kind}@{name}" for kind in ("train", "evaluate") for name in VARIANTS]
)
HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
LONG = {"STUB_SECONDS": "120"}  # of a training
slow = pytest.mark.slow
pytestmark = pytest.mark.timeout(600)


class Cluster:
    """A Dask scheduler at `host`, and workers in `folder`, each a process of its own session.

    Encrypted where `environment` names a configuration; the scheduler and the head are started by
    commands with `prefix`.
    """

    def __init__(
        self, folder: Path, host: str = "127.0.0.1", prefix: Sequence[str] = (), **environment: str
    ) -> None:
        folder.mkdir()
        self.folder, self.prefix, self.environment = folder, prefix, environment
        scheme = "tls" if "DASK_CONFIG" in environment else "tcp"
        port = servers.free_port()
        self.address = f"{scheme}://{host}:{port}"
        address = ("--host", host, "--port", port, "--protocol", scheme)
        self.scheduler = self._start((*prefix, sys.executable), "scheduler", *address)
        self.workers: list[subprocess.Popen[bytes]] = []

    def work(
        self, prefix: Sequence[str] = (), python: str = sys.executable, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start one more worker, as on a machine of its own, with its home in home0 and so on."""
        home = self.folder / f"home{len(self.workers)}"
        home.mkdir(exist_ok=True)
        options = (self.address, "--nthreads", "1", "--no-nanny", "--local-directory", str(home))
        variables = {"HOME": str(home), **environment}
        self.workers.append(self._start((*prefix, python), "worker", *options, **variables))
        return self.workers[-1]

    def _start(
        self, command: Sequence[str], kind: str, *arguments: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "-m", f"distributed.cli.dask_{kind}", *HTTP, *arguments],
                cwd=self.folder,
                env={**workspace.environment(), **self.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def head(self, project: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start a run of `project` on the cluster."""
        command = (sys.executable, "-m", "pipeline.tools.repro", "--scheduler", self.address)
        plain = () if self.address.startswith("tls") else ("--plain",)
        site = {"DVC_SITE_CACHE_DIR": str(project.parent / "site")}
        return subprocess.Popen(
            [*self.prefix, *command, *plain, *arguments],
            cwd=project,
            env={**workspace.environment(), **self.environment, **site},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def left(self) -> list[int]:
        """The processes in the clones, once those that end have ended."""
        clones = [path.parent for path in self.folder.rglob(".git")]
        return [process.pid for clone in clones for process in workspace.left_in(clone)]

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    cluster = Cluster(tmp_path / "cluster")
    yield cluster
    cluster.end()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of few stub stages, committed and pushed, with a DVC remote."""
    project = workspace.copy_project(tmp_path / "head")
    workspace.with_stub_stages(project, *VARIANTS)
    workspace.run(tmp_path, "git", "init", "--quiet", "--bare", "-b", "main", "shared.git")
    workspace.run(project, "git", "remote", "add", "origin", str(tmp_path / "shared.git"))
    workspace.run(project, "dvc", "remote", "add", "--default", "store", f"{tmp_path}/store")
    with (project / ".gitignore").open("a") as ignored:
        ignored.write("/ran.txt\n")
    push(project)
    return project


def push(project: Path) -> None:
    workspace.run(workspace.commit(project), "git", "push", "--quiet", "origin", "HEAD:main")


def finished(head: subprocess.Popen[str], expect: int = 0) -> str:
    output, _ = head.communicate(timeout=280)
    assert head.returncode == expect, output
    assert "Traceback" not in output
    return output


def ran(project: Path) -> list[str]:
    """The stages that ran on any worker, sorted, by their logs on the head."""
    logs = "".join(path.read_text() for path in project.glob("logs/*"))
    return sorted(re.findall("Running stage '(.+)'", logs))


def wait_for(project: Path, stage: str) -> None:
    """Wait until a worker has started `stage`, the start of a name."""
    deadline = time.monotonic() + 240  # 15 where the machine is idle
    while not any(name.startswith(stage) for name in ran(project)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@slow
def test_the_lock_and_the_outputs_are_those_of_one_machine(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """Though the remote is away for a moment, and a worker is killed during a training."""
    store = tmp_path / "store"
    store.write_text("no folder")
    lost = cluster.work(**LONG)
    head = cluster.head(project)
    wait_for(project, "fetch")
    time.sleep(10)  # DVC fails within 2 s
    store.unlink()
    wait_for(project, "train@")
    os.killpg(lost.pid, signal.SIGKILL)  # the stage is of another session, as on any machine
    cluster.work()
    cluster.work()
    finished(head)

    assert cluster.left() == []
    (again,) = [name for name in STAGES if ran(project).count(name) == 2]
    assert ran(project) == sorted([*STAGES, again])
    assert again.startswith("train@")
    assert workspace.run(project, "dvc", "status", "--quiet") == ""
    alone = tmp_path / "alone"
    workspace.run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "shared.git"), str(alone))
    workspace.run(alone, "dvc", "repro", "--quiet")
    outs = [out for stage in declared.stages(project).values() for out in stage.outs]
    for path in outs:
        workspace.run(tmp_path, "diff", "--recursive", f"{project}/{path}", f"{alone}/{path}")
    locks = [yaml.safe_load((path / "dvc.lock").read_text()) for path in (project, alone)]
    assert locks[0] == locks[1]
    runs = [{run.name for run in path.glob(".dvc/cache/runs/*/*/*")} for path in (project, alone)]
    assert runs[0] >= runs[1] > set()
    assert "everything is up to date" in finished(cluster.head(project))


@slow
@pytest.mark.parametrize("interrupted", [True, False])
def test_no_stage_outlives_the_head_or_the_scheduler(
    project: Path, cluster: Cluster, interrupted: bool
) -> None:
    cluster.work(**LONG)
    head = cluster.head(project)
    wait_for(project, "train@")
    if interrupted:
        head.send_signal(signal.SIGINT)
        finished(head, 130)
    else:
        cluster.scheduler.kill()
        assert "the Dask scheduler is gone" in finished(head, 1)
    assert cluster.left() == []
    recorded = (project / "dvc.lock").read_text()
    assert "preprocess:" in recorded  # what has ended is kept
    assert "train@" not in recorded


@slow
def test_workers_get_what_the_head_made_since_the_commit(project: Path, cluster: Cluster) -> None:
    """A failed stage leaves its log on the head, and what needs it is not started."""
    with (project / "pipeline/__main__.py").open("a") as stub:
        stub.write('if sys.argv[1:] == ["evaluate", "fast"]:\n    sys.exit("no memory")\n')
    push(project)
    workspace.run(project, "dvc", "repro", "--quiet", "train@fast")
    cluster.work()

    output = finished(cluster.head(project), 1)

    made = ["evaluate@baseline", "evaluate@fast", "explore", "train@baseline"]
    assert ran(project) == made
    assert (project / "models/baseline.tflite").exists()
    assert "\n  no memory\n" in output
    assert output.endswith("not started: export, compare, page\n")


@slow
def test_a_machine_that_cannot_run_stages_is_named(project: Path, cluster: Cluster) -> None:
    """One without git; then there is none."""
    cluster.work(PATH="/nonexistent")
    output = finished(cluster.head(project, "train@fast"), 1)
    assert re.search(r"fetch failed\n.*tcp://\S+: .*No such file", output, re.S)
    cluster.workers[-1].kill()
    output = finished(cluster.head(project, "train@fast"), 1)
    assert "expected a Dask worker" in output


@slow
@pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them")
def test_a_late_worker_then_a_minute_without_network(project: Path, tmp_path: Path) -> None:
    """On machines with networks of their own, by TLS."""
    script = re.search(r"<<'END'\n(.*?)\nEND", (PROJECT / "docs/cluster.md").read_text(), re.S)
    assert script
    config = tmp_path / "cluster.yaml"
    config.write_text(workspace.run(tmp_path, sys.executable, "-c", script[1]))
    network = Network()
    late = network.machine()
    with ExitStack() as stack:
        stack.callback(network.end)
        prefix = network.first.prefix
        cluster = Cluster(tmp_path / "cluster", CENTRE, prefix, DASK_CONFIG=str(config))
        stack.callback(cluster.end)
        head = cluster.head(project)
        time.sleep(5)
        cluster.work(late.prefix, STUB_SECONDS="20")
        wait_for(project, "train@")
        network.plugged(late, False)
        time.sleep(60)
        network.plugged(late, True)
        finished(head)

    assert ran(project) == STAGES  # none twice
    assert workspace.run(project, "dvc", "status", "--quiet") == ""


def test_what_workers_cannot_get_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(remote, "Client", MagicMock())
    connect = partial(remote.RemoteBackend, "tcp://127.0.0.1:8786", plain=True)
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}")
    Path("reports").mkdir()
    Path("reports/new.csv").touch()
    url = "https://me:secret@example.org/it.git"
    workspace.run(project, "git", "remote", "set-url", "origin", url)
    first, second = connect(), connect()
    assert first.changed == {"dvc.lock", "reports/new.csv"}
    assert first.common["repository"] == "https://example.org/it.git"  # workers' own password
    assert first.common["topic"] != second.common["topic"]  # each head listens to its own stages
    for command, match in (
        (("dvc", "remote", "remove", "store"), r"commit and push \.dvc/config"),
        (("git", "commit", "--quiet", "--all", "--message", "local"), "git push"),
        (("git", "update-ref", "refs/remotes/origin/main", "HEAD"), "dvc remote add"),
        (("git", "remote", "remove", "origin"), "origin"),
    ):
        workspace.run(project, *command)
        with pytest.raises(PipelineError, match=match):
            connect()


def test_a_running_stage_is_not_submitted_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though Dask's client replaces what it knows of the scheduler every millisecond."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(remote.RemoteBackend, "task", lambda *_: (time.sleep, 2))
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1}
    with (
        dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}),
        LocalCluster(**options, dashboard_address="127.0.0.1:0") as cluster,
        remote.RemoteBackend(cluster.scheduler_address, plain=True) as backend,
    ):
        started = [stage for _ in range(1000) for stage in backend.submit(["fetch"])]
    assert started == ["fetch"]


def test_a_command_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[int] = []
    statuses = iter([1, 1, 0, 1, 1])
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr(worker, "run_process", lambda *_: next(statuses))
    worker.check_process("dvc", "pull", pauses=(1, 2, 4))
    with pytest.raises(subprocess.CalledProcessError, match="pull"):
        worker.check_process("dvc", "pull", pauses=(8,))
    assert slept == [0, 1, 2, 0, 8]
