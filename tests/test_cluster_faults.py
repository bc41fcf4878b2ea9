"""Faults of workers with networks of their own, by TLS, with a git server and an S3 server."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers
import workspace
from clusters import Cluster, commit, finished, stages
from conftest import PROJECT
from networks import CENTRE, Machine, Network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them"),
]
OUTAGE_SECONDS = 60
# Fills the disk as soon as there is a clone.
FILL = "until test -e {0}/dask*/*/*/.git; do sleep 0.1; done; dd if=/dev/zero of={0}/rest bs=1M"


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.end()


def make_certificates(path: Path) -> None:
    """Run the script of docs/cluster.md."""
    script = re.search(r"<<'END'\n(.*?)\nEND", (PROJECT / "docs/cluster.md").read_text(), re.S)
    assert script
    path.write_text(workspace.run(path.parent, sys.executable, "-c", script[1]))


def with_servers(project: Path, bucket: servers.Bucket) -> None:
    """Have workers clone from git's own server, which lets nobody write, and data go to S3."""
    add = ("dvc", "remote", "add", "--force", "--default", "store", f"s3://{bucket.name}/store")
    workspace.run(project, *add)
    workspace.run(project, "dvc", "remote", "modify", "store", "endpointurl", bucket.endpoint)
    shared = str(project.parent / "shared.git")
    workspace.run(project, "git", "remote", "set-url", "--push", "origin", shared)
    workspace.run(project, "git", "remote", "set-url", "origin", f"git://{CENTRE}/shared.git")
    commit(project)


def fill_disk(home: Path, machine: Machine) -> "subprocess.Popen[bytes]":
    """Start what fills the small disk of `home`, on `machine`, during the first stage there."""
    home.mkdir()
    machine.run("mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(home))
    return subprocess.Popen([*machine.prefix, "sh", "-c", FILL.format(home)])


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def test_a_full_disk_then_a_late_worker_then_a_minute_without_network(
    clustered: Path, network: Network, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "cluster.yaml")
    folder = workspace.run(tmp_path, "git", "--exec-path").strip()
    git = (f"{folder}/git-daemon", "--export-all", f"--base-path={tmp_path}", f"--listen={CENTRE}")
    with ExitStack() as stack:
        first = network.first.prefix
        bucket = stack.enter_context(servers.s3_elsewhere(tmp_path, CENTRE, first))
        stack.callback(end, subprocess.Popen([*first, *git]))
        with_servers(clustered, bucket)
        (tmp_path / "cluster").mkdir()
        own = {
            "DASK_CONFIG": str(tmp_path / "cluster.yaml"),
            "AWS_ACCESS_KEY_ID": bucket.access_key,
            "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
        }
        cluster = Cluster(tmp_path / "cluster", CENTRE, prefix=first, **own)
        stack.callback(cluster.end)
        small, late = network.machine(), network.machine()
        filling = fill_disk(cluster.home(0), small)
        stack.callback(end, filling)
        cluster.work(small.prefix)
        head = cluster.head(clustered)
        filling.wait(240)
        time.sleep(5)
        cluster.work(late.prefix, STUB_SECONDS="20")
        cluster.wait_for(1, "train@")
        network.plugged(late, False)
        time.sleep(OUTAGE_SECONDS)
        network.plugged(late, True)
        output = finished(head)

    assert re.search(r"fetch  returned by tls://\S+: .*expected 256 MiB free", output)
    assert cluster.ran() == stages()  # none twice
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""
    logs = [*(clustered / "logs").iterdir(), *cluster.folder.glob("*.log")]
    assert logs
    assert not any(bucket.secret_key in log.read_text() for log in logs)
