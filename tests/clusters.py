"""A cluster of processes with homes and clones of their own on loopback, a git repository and a DVC
remote between them."""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import processes
import workspace

VARIANTS = ("baseline", "fast")
DASK = (sys.executable, "-m")
HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


class Cluster:
    """A scheduler at `host` and workers, each a process of its own session with `environment`.

    Encrypted where that names a configuration; `prefix` stands before the scheduler's command.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        *,
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self.folder, self.prefix, self.environment = folder, prefix, environment
        scheme = "tls" if "DASK_CONFIG" in environment else "tcp"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        self.address = f"{scheme}://{host}:{port}"
        place = ("--host", host, "--port", port, "--protocol", scheme)
        self.scheduler = self._start(prefix, "scheduler", *place)
        self.workers: list[subprocess.Popen[bytes]] = []

    def work(self, prefix: Sequence[str] = (), **environment: str) -> subprocess.Popen[bytes]:
        """One more worker, as on a machine of its own; `prefix` stands before its command."""
        home = self.folder / f"home{len(self.workers)}"
        home.mkdir(exist_ok=True)
        own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **environment}
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(home))
        self.workers.append(self._start(prefix, "worker", self.address, *options, **own))
        return self.workers[-1]

    def _start(
        self, prefix: Sequence[str], kind: str, *arguments: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [*prefix, *DASK, f"distributed.cli.dask_{kind}", *arguments, *HTTP],
                cwd=self.folder,
                env={**workspace.environment(), **self.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def commit(folder: Path) -> None:
    workspace.run(folder, "git", "add", ".")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "test")
    workspace.run(folder, "git", "push", "--quiet", "origin", "HEAD:main")


def committed_project(folder: Path) -> Path:
    """In `folder` a project of few stub stages, committed and pushed, with a DVC remote."""
    project = workspace.with_stub_stages(workspace.copy_project(folder / "head"))
    known = workspace.read_params(project)["variants"]
    workspace.drop_variants(project, *set(known) - set(VARIANTS))
    workspace.run(folder, "git", "init", "--quiet", "--bare", "-b", "main", "shared.git")
    workspace.run(project, "git", "remote", "add", "origin", str(folder / "shared.git"))
    store = str(folder / "store")
    workspace.run(project, "dvc", "remote", "add", "--default", "store", store)
    with (project / ".gitignore").open("a") as ignored:
        ignored.write("/ran.txt\n")
    commit(project)
    return project


def head(project: Path, cluster: Cluster, *arguments: str, expect: int = 0) -> str:
    command = ("python", "-m", "pipeline.cluster", "--scheduler", cluster.address)
    return workspace.run(project, *command, *arguments, expect=expect)


def ran(cluster: Cluster) -> list[str]:
    """The stages that ran anywhere, sorted."""
    notes = cluster.folder.rglob("ran.txt")
    return sorted(line for note in notes for line in note.read_text().split())


def stages() -> list[str]:
    single = ["fetch", "preprocess", "explore", "export", "compare", "page"]
    return sorted(
        single + [f"{kind}@{name}" for kind in ("train", "evaluate") for name in VARIANTS]
    )


def begun(cluster: Cluster, process: subprocess.Popen[bytes], stage: str) -> None:
    """Wait until `process`, a worker, has begun `stage`."""
    note = cluster.folder / f"home{cluster.workers.index(process)}/cache"
    deadline = time.monotonic() + 240  # 15 where the machine is idle
    while not any(stage in found.read_text() for found in note.rglob("ran.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def in_background(project: Path, cluster: Cluster) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "pipeline.cluster", "--scheduler", cluster.address)
    site = {"DVC_SITE_CACHE_DIR": str(project.parent / "site")}
    return subprocess.Popen(
        [*cluster.prefix, *command],
        cwd=project,
        env={**workspace.environment(), **cluster.environment, **site},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_of(cluster: Cluster, process: subprocess.Popen[bytes]) -> list[int]:
    """The processes in a worker's clone, once those that end have ended."""
    clones = cluster.folder / f"home{cluster.workers.index(process)}/cache"
    found = (processes.left_in(path.parent) for path in clones.rglob(".git"))
    return [one.pid for each in found for one in each]
