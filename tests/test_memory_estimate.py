"""How much memory there is, and what photos need of it."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml
from conftest import PROJECT

from pipeline.base.errors import PipelineError
from pipeline.datasets.config import ImageFolderConfig
from pipeline.tools import memory_estimate
from pipeline.tools.memory_estimate import GIB

DATASET = yaml.safe_load((PROJECT / "pipeline/tools/photos_params.yaml").read_text())["dataset"]


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control groups of a machine of 8 GiB, whose process is in `/jobs/one`."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 * GIB))
    monkeypatch.setattr(memory_estimate, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory_estimate, "OWN_CGROUP", tmp_path / "own")
    (tmp_path / "cgroup/jobs/one").mkdir(parents=True)
    (tmp_path / "cgroup/memory").mkdir()
    (tmp_path / "own").write_text("9:memory:/\n0::/jobs/one\n")
    return tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("jobs/one/memory.max", "max\n", 8 * GIB),
        ("jobs/one/memory.max", "1800000000\n", 1_800_000_000),
        ("jobs/memory.max", "1800000000\n", 1_800_000_000),
        ("memory.max", "1800000000\n", 1_800_000_000),
        ("memory/memory.limit_in_bytes", "1800000000\n", 1_800_000_000),
    ],
)
def test_memory_is_the_lowest_limit(groups: Path, file: str, text: str, expected: int) -> None:
    (groups / file).write_text(text)
    assert memory_estimate.available_memory() == expected


def dataset(**changes: Any) -> ImageFolderConfig:
    return ImageFolderConfig(**DATASET | changes)


def photos(**counts: int) -> dict[str, dict[str, tuple[Path, ...]]]:
    """So many photos of each of two classes in each split."""
    return {
        split: {name: (Path("photo.jpg"),) * count for name in ("rose", "tulip")}
        for split, count in counts.items()
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train": 100}, {"train": 160, "validation": 20, "test": 20}),
        ({"train": 100, "test": 5}, {"train": 180, "validation": 20, "test": 10}),
        ({"train": 9, "validation": 3, "test": 2}, {"train": 18, "validation": 6, "test": 4}),
    ],
)
def test_a_split_without_a_folder_gets_its_share(
    given: dict[str, int], expected: dict[str, int]
) -> None:
    assert memory_estimate.split_counts(photos(**given), dataset()) == expected


def test_photos_that_need_more_than_there_is_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: 4 * GIB)
    found = photos(train=10_000, test=2_000)  # measured: 3.76 GiB on two threads, 4.03 on eight
    assert "20,000 photos" in memory_estimate.expect_memory(found, dataset(side=64))
    with pytest.raises(PipelineError, match=r"params\.yaml: dataset\.side: .*20,000") as error:
        memory_estimate.expect_memory(found, dataset(side=66))
    largest = re.search(r"at most (\d+), found 66", str(error.value))
    assert largest
    memory_estimate.expect_memory(found, dataset(side=int(largest[1])))
    with pytest.raises(PipelineError):
        memory_estimate.expect_memory(found, dataset(side=int(largest[1]) + 1))
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: GIB)
    with pytest.raises(PipelineError, match="at most 0"):
        memory_estimate.expect_memory(found, dataset())
