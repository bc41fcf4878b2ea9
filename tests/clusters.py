"""A Dask cluster of processes on loopback, a git repository and a DVC remote between them."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import processes
import servers
import workspace

VARIANTS = ("baseline", "fast")
HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


class Cluster:
    """A scheduler at `host` and workers, each a process of its own session with `environment`.

    Encrypted where that names a configuration; `prefix` stands before the scheduler's command.
    """

    def __init__(
        self, folder: Path, host: str = "127.0.0.1", prefix: Sequence[str] = (), **environment: str
    ) -> None:
        self.folder, self.prefix, self.environment = folder, prefix, environment
        scheme = "tls" if "DASK_CONFIG" in environment else "tcp"
        port = servers.free_port()
        self.address = f"{scheme}://{host}:{port}"
        address = ("--host", host, "--port", port, "--protocol", scheme)
        self.scheduler = self._start((*prefix, sys.executable), "scheduler", *address)
        self.workers: list[subprocess.Popen[bytes]] = []

    def home(self, number: int) -> Path:
        """The home of the worker with that number."""
        return self.folder / f"home{number}"

    def work(
        self, prefix: Sequence[str] = (), python: str = sys.executable, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start one more worker, as on a machine of its own."""
        home = self.home(len(self.workers))
        home.mkdir(exist_ok=True)
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(home))
        command, variables = (*prefix, python), {"HOME": str(home), **environment}
        self.workers.append(self._start(command, "worker", self.address, *options, **variables))
        return self.workers[-1]

    def _start(
        self, command: Sequence[str], kind: str, *arguments: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "-m", f"distributed.cli.dask_{kind}", *arguments, *HTTP],
                cwd=self.folder,
                env={**workspace.environment(), **self.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def head(self, project: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start a run of `project` on the cluster."""
        command = (sys.executable, "-m", "pipeline.cluster", "--scheduler", self.address)
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
        return [process.pid for clone in clones for process in processes.left_in(clone)]

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


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
    workspace.run(project, "dvc", "remote", "add", "--default", "store", f"{folder}/store")
    with (project / ".gitignore").open("a") as ignored:
        ignored.write("/ran.txt\n")
    commit(project)
    return project


def stages() -> list[str]:
    per_variant = [f"{kind}@{name}" for kind in ("train", "evaluate") for name in VARIANTS]
    return sorted(["fetch", "preprocess", "explore", "export", "compare", "page", *per_variant])
