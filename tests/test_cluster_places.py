"""Which workers of a Dask cluster get stages, and what is said where none does."""

from collections.abc import Iterator

import pytest
from conftest import PROJECT
from distributed import LocalCluster

from pipeline.base.errors import PipelineError
from pipeline.cluster import clone, places


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    monkeypatch.chdir(PROJECT)
    with LocalCluster(
        n_workers=0, processes=False, protocol="tcp", dashboard_address=None
    ) as found:
        yield found


def test_a_worker_that_never_comes(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "WAITING_SECONDS", 1)
    with (
        pytest.raises(PipelineError, match=r"expected a worker, none came in 1 s; start one"),
        places.elsewhere(cluster.scheduler_address),
    ):
        pass


def test_a_worker_with_a_full_disk_gets_no_stage(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.scale(1)
    with places.elsewhere(cluster.scheduler_address):
        assert clone.space() is None
    monkeypatch.setattr(clone, "LEAST_MEBIBYTES", 2**40)
    assert f"expected {2**40} MiB, found " in str(clone.space())
    with (
        pytest.raises(PipelineError, match=r"can run stages: tcp://\S+ lacks space .*MiB"),
        places.elsewhere(cluster.scheduler_address),
    ):
        pass
