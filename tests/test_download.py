"""Downloads: resumed, verified, and with an error for each way a server or the disk fails."""

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webserver import Page, Server, serving

from pipeline.core.errors import PipelineError
from pipeline.datasets import download as module
from pipeline.datasets.download import CONNECTIONS, MIRRORS, NPM_REGISTRY, SourceError, download

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        running.pages["/data.bin"] = Page(CONTENT)
        yield running


def test_table_of_mirrors() -> None:
    files = [file for mirror in MIRRORS.values() for file in mirror.items()]
    assert all(url.startswith(("https://", NPM_REGISTRY)) for url, _ in files)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for _, sha256 in files)
    assert len({url.rpartition("/")[2] for url, _ in files}) == len(files)  # partial files


@pytest.mark.parametrize(
    ("partial", "page", "starts"),
    [
        (b"", {}, [0]),
        (CONTENT[:1000], {}, [1000]),
        (CONTENT, {}, [300_000]),
        (OTHER[:1000], {}, [1000, 0]),
        (CONTENT + b"x", {}, [300_001, 0]),
        (CONTENT[:1000], {"honours_range": False}, [1000]),
        (b"", {"breaks_after": [100_000, 50_000]}, [0, 100_000, 150_000]),
        (b"", {"headers": {"Content-Encoding": "gzip"}}, [0]),
    ],
)
def test_resumes_a_partial_file_or_begins_again(
    server: Server, tmp_path: Path, partial: bytes, page: dict[str, Any], starts: list[int]
) -> None:
    folder = tmp_path / "new" / "folder"
    if partial:
        folder.mkdir(parents=True)
        (folder / "data.bin.part").write_bytes(partial)
    server.pages["/data.bin"] = Page(CONTENT, **page)
    path = download(server.url("/data.bin"), SHA256, folder)
    assert path == folder / "data.bin.part"
    assert path.read_bytes() == CONTENT
    assert server.pages["/data.bin"].ranges == [f"bytes={start}-" for start in starts]


@pytest.mark.parametrize(
    ("partial", "page", "requests", "kept"),
    [
        (1000, {"status": 404}, 1, 1000),
        (1000, {"status": 503}, 1, 1000),
        (1000, {"breaks_after": [10] * 100}, CONNECTIONS, 1000 + 10 * CONNECTIONS),
        (1000, {"breaks_after": [0] * 100}, 1, 1000),
        (1000, {"stalls_after": 0}, 1, 1000),
        (1000, {"content": OTHER}, 2, 0),
        (0, {"content": OTHER}, 1, 0),
    ],
)
def test_failing_server(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    partial: int,
    page: dict[str, Any],
    requests: int,
    kept: int,
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.3)
    part = tmp_path / "data.bin.part"
    part.write_bytes(CONTENT[:partial])
    server.pages["/data.bin"] = Page(**{"content": CONTENT} | page)
    with pytest.raises(SourceError, match=r"data\.bin"):
        download(server.url("/data.bin"), SHA256, tmp_path)
    assert len(server.pages["/data.bin"].ranges) == requests
    assert part.read_bytes() == CONTENT[:kept]


def test_no_server(tmp_path: Path) -> None:
    with serving() as stopped:
        pass
    with pytest.raises(SourceError, match=r"data\.bin"):
        download(stopped.url("/data.bin"), SHA256, tmp_path)


def test_error_of_the_disk_is_none_of_the_mirror(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=str(tmp_path / "file")) as caught:
        download(server.url("/data.bin"), SHA256, tmp_path / "file")
    assert not isinstance(caught.value, SourceError)


def test_npm_package_is_in_the_registry_of_the_settings(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", server.url("/npm/"))
    server.pages["/npm/data.bin"] = Page(CONTENT)
    path = download(f"{NPM_REGISTRY}/data.bin", SHA256, tmp_path)
    assert path.read_bytes() == CONTENT
