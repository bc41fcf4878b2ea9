"""Downloading from servers that stall, trickle, break off, lie and forget what they served."""

import gzip
import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from webserver import Page, Server, serving

from pipeline.base.errors import PipelineError
from pipeline.fetch import download as module
from pipeline.fetch import pace
from pipeline.fetch.download import download
from pipeline.fetch.mirrors import RemoteFile, SourceError

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        yield running


def fetch(
    server: Server, folder: Path, *, sha256: bool = True, floor: float = 1, patience: float = 5
) -> bytes:
    digest = hashlib.sha256(CONTENT).hexdigest() if sha256 else None
    path = download(
        RemoteFile("data.bin", server.url("/data"), digest),
        folder,
        min_kilobytes_per_second=floor,
        patience_seconds=patience,
    )
    assert path == folder / "data.bin.part"
    return path.read_bytes()


def leave(folder: Path, content: bytes, etag: str | None = None) -> None:
    """What an earlier, interrupted run left."""
    (folder / "data.bin.part").write_bytes(content)
    if etag:
        (folder / "data.bin.part.etag").write_text(etag)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sha256", [True, False])
def test_whole_file(server: Server, tmp_path: Path, sha256: bool) -> None:
    page = server.pages["/data"] = Page(CONTENT)
    assert fetch(server, tmp_path / "new" / "folder", sha256=sha256) == CONTENT
    assert len(page.asked) == 1
    assert "Range" not in page.asked[0]


def test_compressed_file_stays_compressed(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    page = server.pages["/data"] = Page(packed, headers={"Content-Encoding": "gzip"})
    assert fetch(server, tmp_path, sha256=False) == packed
    assert page.asked[0]["Accept-Encoding"] == "identity"


def test_resumes_where_an_earlier_run_broke_off(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT)
    leave(tmp_path, CONTENT[:123_456])
    assert fetch(server, tmp_path) == CONTENT
    assert [request["Range"] for request in page.asked] == ["bytes=123456-"]


def test_resumes_by_etag_without_a_known_digest(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, etag='"v1"', stalls_after=100_000)
    with pytest.raises(SourceError, match=r"sent nothing for 0\.3 s"):
        fetch(server, tmp_path, sha256=False, patience=0.3)
    page.stalls_after = None
    assert fetch(server, tmp_path, sha256=False) == CONTENT
    assert page.asked[1]["Range"] == "bytes=100000-"
    assert page.asked[1]["If-Range"] == '"v1"'


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_does_not_resume_what_nothing_vouches_for(
    server: Server, tmp_path: Path, etag: str | None
) -> None:
    page = server.pages["/data"] = Page(CONTENT, etag=etag, stalls_after=100_000)
    with pytest.raises(SourceError):
        fetch(server, tmp_path, sha256=False, patience=0.3)
    page.stalls_after, page.content = None, OTHER
    assert fetch(server, tmp_path, sha256=False) == OTHER
    assert "Range" not in page.asked[1]


def test_file_that_changed_since_starts_again(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, etag='"v2"')
    leave(tmp_path, OTHER[:1000], '"v1"')
    assert fetch(server, tmp_path, sha256=False) == CONTENT
    assert len(page.asked) == 1
    assert (tmp_path / "data.bin.part.etag").read_text() == '"v2"'


def test_bytes_of_another_version_are_thrown_away_once(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = server.pages["/data"] = Page(CONTENT)
    leave(tmp_path, OTHER[:1000])
    assert fetch(server, tmp_path) == CONTENT
    assert [request.get("Range") for request in page.asked] == ["bytes=1000-", None]
    assert "from the start again" in capsys.readouterr().err


def test_server_that_ignores_range(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, honours_range=False)
    leave(tmp_path, CONTENT[:1000])
    assert fetch(server, tmp_path) == CONTENT
    assert len(page.asked) == 1


def test_server_that_answers_another_range(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, etag='"v1"', shifts_range_by=5)
    leave(tmp_path, CONTENT[:1000], '"v1"')
    assert fetch(server, tmp_path, sha256=False) == CONTENT
    assert [request.get("Range") for request in page.asked] == ["bytes=1000-", None]


def test_complete_file_left_by_a_killed_run_needs_no_server(tmp_path: Path) -> None:
    leave(tmp_path, CONTENT)
    assert fetch(Server(), tmp_path) == CONTENT


def test_complete_file_of_unknown_digest_is_asked_about(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, etag='"v1"')
    leave(tmp_path, CONTENT, '"v1"')
    assert fetch(server, tmp_path, sha256=False) == CONTENT
    assert [request.get("Range") for request in page.asked] == ["bytes=300000-"]


def test_file_that_grew_too_long_starts_again(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, etag='"v1"')
    leave(tmp_path, CONTENT + b"x", '"v1"')
    assert fetch(server, tmp_path, sha256=False) == CONTENT
    assert len(page.asked) == 2


def test_lie_is_discarded_and_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(OTHER, etag='"v1"')
    with pytest.raises(SourceError, match="another SHA-256"):
        fetch(server, tmp_path)
    assert left(tmp_path) == []
    assert len(page.asked) == 1


def test_broken_connections_are_resumed_at_once(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, cuts=[100_000, 50_000])
    assert fetch(server, tmp_path) == CONTENT
    ranges = [request.get("Range") for request in page.asked]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_connection_that_breaks_over_and_over(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, cuts=[10] * 100)
    with pytest.raises(SourceError, match="breaks the connection"):
        fetch(server, tmp_path)
    assert len(page.asked) == 1 + module.RECONNECTS
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:60]


def test_connection_that_breaks_before_any_byte(server: Server, tmp_path: Path) -> None:
    page = server.pages["/data"] = Page(CONTENT, cuts=[0] * 100)
    with pytest.raises(SourceError, match="breaks the connection"):
        fetch(server, tmp_path)
    assert len(page.asked) == 1


def test_trickle_is_given_up_and_kept(server: Server, tmp_path: Path) -> None:
    server.pages["/data"] = Page(CONTENT, bytes_per_second=20_000)
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"too slow: \d+ kB/s over 0\.5 s, expected 100 kB/s"):
        fetch(server, tmp_path, floor=100, patience=0.5)
    assert 0.5 < time.monotonic() - started < 10  # all of it would take 15 s
    kept = (tmp_path / "data.bin.part").read_bytes()
    assert kept
    assert CONTENT.startswith(kept)


def test_server_fast_enough_may_take_longer_than_the_patience(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/data"] = Page(CONTENT, bytes_per_second=100_000)  # for 3 s
    assert fetch(server, tmp_path, floor=5, patience=2) == CONTENT


def test_only_the_last_seconds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(5))
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    judge = pace.Pace(100, 2)
    for kilobytes in (1000, 100, 100):
        judge.add(kilobytes * 1000)
    with pytest.raises(SourceError, match="too slow: 50 kB/s over 2 s"):
        judge.add(1)


def test_silent_server(server: Server, tmp_path: Path) -> None:
    server.pages["/data"] = Page(silent=True)
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 0\.2 s"):
        fetch(server, tmp_path, patience=0.2)
    assert time.monotonic() - started < 8


@pytest.mark.parametrize("status", [403, 404, 500, 503])
@pytest.mark.parametrize("begun", [False, True])
def test_error_answer(server: Server, tmp_path: Path, status: int, begun: bool) -> None:
    server.pages["/data"] = Page(status=status)
    if begun:
        leave(tmp_path, CONTENT[:1000])
    with pytest.raises(SourceError, match=rf"/data answers {status} \w+"):
        fetch(server, tmp_path)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as stopped:
        pass
    with pytest.raises(SourceError, match="Connection refused"):
        fetch(stopped, tmp_path)


def test_endless_answer(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 200_000)
    server.pages["/data"] = Page(CONTENT)
    with pytest.raises(SourceError, match="at most 200,000 bytes"):
        fetch(server, tmp_path)


def test_disk_that_refuses_is_no_fault_of_the_mirror(server: Server, tmp_path: Path) -> None:
    server.pages["/data"] = Page(CONTENT)
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=r"cannot write to .*free space or fix") as caught:
        fetch(server, tmp_path / "file")
    assert not isinstance(caught.value, SourceError)


def test_ssl_cert_file_is_heeded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "no/such/bundle.pem")
    secure = RemoteFile("data.bin", server.url("/data").replace("http:", "https:"), None)
    with pytest.raises(SourceError, match=r"no/such/bundle\.pem"):
        download(secure, tmp_path, min_kilobytes_per_second=1, patience_seconds=1)


def test_log_gets_a_few_plain_lines(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages["/data"] = Page(CONTENT, bytes_per_second=1_000_000)
    fetch(server, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 3
    assert lines[-1].startswith("data.bin: 100%")
    assert "300k/300k" in lines[-1]
    assert "\r" not in "".join(lines)
