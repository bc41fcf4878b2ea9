"""Faults of workers with networks of their own, by TLS, with a git server and an S3 server."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers
import workspace
from clusters import Cluster, commit, finished, ran, stages, wait_for
from conftest import PROJECT
from networks import CENTRE, Network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them"),
]
# Fills the disk as soon as there is a clone.
FILL = "until test -e {0}/dask*/*/*/.git; do sleep 0.1; done; dd if=/dev/zero of={0}/rest bs=1M"


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.end()


def with_servers(project: Path, endpoint: str) -> None:
    """Have workers clone from git's own server, which lets nobody write, and data go to S3."""
    add = ("dvc", "remote", "add", "--force", "--default", "store", "s3://bucket/store")
    workspace.run(project, *add)
    workspace.run(project, "dvc", "remote", "modify", "store", "endpointurl", endpoint)
    shared = str(project.parent / "shared.git")
    workspace.run(project, "git", "remote", "set-url", "--push", "origin", shared)
    workspace.run(project, "git", "remote", "set-url", "origin", f"git://{CENTRE}/shared.git")
    commit(project)


def test_a_full_disk_then_a_late_worker_then_a_minute_without_network(
    clustered: Path, network: Network, tmp_path: Path
) -> None:
    script = re.search(r"<<'END'\n(.*?)\nEND", (PROJECT / "docs/cluster.md").read_text(), re.S)
    assert script
    config = tmp_path / "cluster.yaml"
    config.write_text(workspace.run(tmp_path, sys.executable, "-c", script[1]))
    first, small, late = network.first.prefix, network.machine(), network.machine()
    git = workspace.run(tmp_path, "git", "--exec-path").strip() + "/git-daemon"
    serve = (*first, git, "--export-all", f"--base-path={tmp_path}", f"--listen={CENTRE}")
    folder = tmp_path / "cluster"
    folder.mkdir()
    with ExitStack() as stack:
        with_servers(clustered, stack.enter_context(servers.s3(tmp_path, CENTRE, first)))
        stack.enter_context(servers.running(serve, tmp_path / "git.log"))
        own = {"DASK_CONFIG": str(config), **servers.KEY}
        cluster = Cluster(folder, CENTRE, prefix=first, **own)
        stack.callback(cluster.end)
        home = cluster.home(0)
        home.mkdir()
        small.run("mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(home))
        fill = (*small.prefix, "sh", "-c", FILL.format(home))
        filling = stack.enter_context(servers.running(fill, tmp_path / "fill.log"))
        cluster.work(small.prefix)
        head = cluster.head(clustered)
        filling.wait(240)
        time.sleep(5)
        cluster.work(late.prefix, STUB_SECONDS="20")
        wait_for(clustered, "train@")
        network.plugged(late, False)
        time.sleep(60)
        network.plugged(late, True)
        output = finished(head)

    assert re.search(r"fetch  returned by tls://\S+: .*expected 256 MiB free", output)
    assert ran(clustered) == stages()  # none twice
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""
    logs = [*(clustered / "logs").iterdir(), *folder.glob("*.log")]
    assert logs
    assert not any(servers.KEY["AWS_SECRET_ACCESS_KEY"] in log.read_text() for log in logs)
