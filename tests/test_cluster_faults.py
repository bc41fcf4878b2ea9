"""Workers on machines with networks of their own, by TLS, with a git server and an S3 server; what
goes wrong with them."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers
import workspace
from clusters import Cluster, begun, commit, in_background, ran, stages
from networks import CENTRE, Machine, Network

from pipeline.cluster import certificates

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them"),
]
OUTAGE_SECONDS = 60
# Fills the disk as soon as a stage is there.
FILL = (
    "until test -e {0}/cache/pipeline-clones; do sleep 0.1; done; dd if=/dev/zero of={0}/rest bs=1M"
)


@pytest.fixture
def network() -> Iterator[Network]:
    found = Network()
    yield found
    found.end()


def with_servers(project: Path, bucket: servers.Bucket) -> None:
    """Have workers clone from git's own server, which lets nobody write, and data go to S3."""
    add = ("dvc", "remote", "add", "--force", "--default", "store", f"s3://{bucket.name}/store")
    workspace.run(project, *add)
    workspace.run(project, "dvc", "remote", "modify", "store", "endpointurl", bucket.endpoint)
    shared = str(project.parent / "shared.git")
    workspace.run(project, "git", "remote", "set-url", "--push", "origin", shared)
    workspace.run(project, "git", "remote", "set-url", "origin", f"git://{CENTRE}/shared.git")
    commit(project)


def with_small_disk(cluster: Cluster, machine: Machine) -> "subprocess.Popen[bytes]":
    """What will fill the disk of the next worker, on `machine`, during its first stage."""
    home = cluster.folder / f"home{len(cluster.workers)}"
    home.mkdir()
    machine.run("mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(home))
    return subprocess.Popen([*machine.prefix, "sh", "-c", FILL.format(home)])


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def test_a_full_disk_then_a_late_worker_then_a_minute_without_network(
    clustered: Path, network: Network, tmp_path: Path
) -> None:
    certificates.write(tmp_path / "cluster.yaml")
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
        filling = with_small_disk(cluster, small)
        stack.callback(end, filling)
        cluster.work(small.prefix)
        running = in_background(clustered, cluster)
        filling.wait(240)
        time.sleep(5)
        worker = cluster.work(late.prefix, STUB_SECONDS="20")
        begun(cluster, worker, "train@")
        network.plugged(late, False)
        time.sleep(OUTAGE_SECONDS)
        network.plugged(late, True)
        said, _ = running.communicate(timeout=240)

    assert running.returncode == 0, said
    assert "gets no stage: it lacks space for " in said
    assert ran(cluster) == stages()  # none twice
    assert workspace.run(clustered, "dvc", "status", "--quiet") == ""
    logs = [*(clustered / "logs").iterdir(), *cluster.folder.glob("*.log")]
    assert logs
    assert not any(bucket.secret_key in log.read_text() for log in logs)
