"""One file over HTTP: resumed when broken off, given up when slow, verified when complete."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from pipeline.base.errors import PipelineError
from pipeline.fetch.mirrors import RemoteFile, SourceError
from pipeline.fetch.pace import Pace, progress

CHUNK_BYTES = 1 << 18
RECONNECTS = 5  # after that many broken connections a mirror is dead
LARGEST_BYTES = 1_000_000_000  # six times the largest archive: an endless answer fills no disk


def download(
    file: RemoteFile, folder: Path, *, min_kilobytes_per_second: float, patience_seconds: float
) -> Path:
    """Download `file` to NAME.part in `folder` and return that path once it is complete.

    What an earlier run left there is resumed. Raises SourceError when the server is unreachable,
    answers wrongly, sends nothing or too little for `patience_seconds`, or when the SHA-256
    differs; PipelineError when the disk refuses.
    """
    part = folder / f"{file.name}.part"
    pace = Pace(min_kilobytes_per_second, patience_seconds)
    with _writing(folder), requests.Session() as session:
        folder.mkdir(parents=True, exist_ok=True)
        # requests heeds REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE only, which win over this.
        session.verify = os.environ.get("SSL_CERT_FILE") or True
        resumed = _size(part) > 0
        if not _matches(part, file):
            _transfer(session, file, part, pace)
        if file.sha256 and resumed and not _matches(part, file):
            print(f"{file.name}: resumed, it does not fit; from the start again", file=sys.stderr)
            discard(part)
            _transfer(session, file, part, pace)
        if file.sha256 and not _matches(part, file):
            discard(part)
            raise SourceError(f"{file.name} has another SHA-256 than {file.sha256}")
    return part


def discard(part: Path) -> None:
    """Delete what `download` left at `part`, and the ETag noted beside it."""
    part.unlink(missing_ok=True)
    _etag_file(part).unlink(missing_ok=True)


def _transfer(session: requests.Session, file: RemoteFile, part: Path, pace: Pace) -> None:
    """Receive until the server calls `part` complete, over several connections if need be."""
    for attempt in range(RECONNECTS + 1):
        before = pace.received
        try:
            with _open(session, file, part, pace.patience_seconds) as response:
                if response.status_code != requests.codes.requested_range_not_satisfiable:
                    _receive(response, file.name, part, pace)
                return
        except ProtocolError as error:
            if pace.received == before or attempt == RECONNECTS:
                raise SourceError(f"{file.url} breaks the connection") from error
            broken_at = f"{_size(part) / 1e6:.1f} MB"
            print(f"{file.name}: connection broken at {broken_at}; resuming", file=sys.stderr)
        except ReadTimeoutError as error:
            raise SourceError(f"{file.url} sent nothing for {pace.patience_seconds:g} s") from error
        except HTTPError as error:
            raise SourceError(f"{file.url}: {error}") from error


def _open(
    session: requests.Session, file: RemoteFile, part: Path, patience_seconds: float
) -> requests.Response:
    """Ask for what `part` lacks; the body is to be appended to it. 416 when it lacks nothing."""
    etag = _etag_file(part).read_text() if _etag_file(part).exists() else ""
    if not etag and not file.sha256:
        discard(part)  # nothing would tell whether old and new bytes are of the same version
    size = _size(part)
    headers = {"Accept-Encoding": "identity"}  # a Range counts the bytes of the file itself
    if size:
        headers |= {"Range": f"bytes={size}-"} | ({"If-Range": etag} if etag else {})
    response = _get(session, file.url, headers, patience_seconds)
    place = response.headers.get("Content-Range", "")
    match response.status_code:
        case requests.codes.ok:
            _begin(part, response.headers.get("ETag", ""))
            return response
        case requests.codes.partial_content if size and place.startswith(f"bytes {size}-"):
            return response
        case requests.codes.requested_range_not_satisfiable if size and place == f"bytes */{size}":
            return response
    response.close()
    if not size:
        raise SourceError(f"{file.url} answers {response.status_code} {response.reason}")
    discard(part)  # whatever the server has against our range, it may still serve the whole
    return _open(session, file, part, patience_seconds)


def _get(
    session: requests.Session, url: str, headers: dict[str, str], patience_seconds: float
) -> requests.Response:
    try:
        return session.get(url, headers=headers, stream=True, timeout=patience_seconds)
    except requests.ConnectTimeout as error:
        raise SourceError(f"{url}: no connection within {patience_seconds:g} s") from error
    except requests.ReadTimeout as error:
        raise SourceError(f"{url}: no answer within {patience_seconds:g} s") from error
    except OSError as error:  # every other error of requests, and a CA bundle that is not there
        cause = getattr(error.args[0], "reason", error) if error.args else error
        raise SourceError(f"{url}: {str(cause).rpartition('): ')[2]}") from error


def _receive(response: requests.Response, name: str, part: Path, pace: Pace) -> None:
    """Append the body of `response` to `part`."""
    length, done = response.headers.get("Content-Length"), _size(part)
    total = done + int(length) if length else None
    with part.open("ab") as output, progress(name, done, total) as bar:
        # read1 returns what there is; read would wait for a whole chunk, hours from a server
        # that trickles. Both raise when the body is shorter than its Content-Length.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            output.write(chunk)
            bar.update(len(chunk))
            pace.add(len(chunk))
            if output.tell() > LARGEST_BYTES:
                raise SourceError(f"{name}: expected at most {LARGEST_BYTES:,} bytes")


def _begin(part: Path, etag: str) -> None:
    """Empty `part`. A weak ETag (W/...) does not vouch for each byte and is not noted."""
    part.write_bytes(b"")
    _etag_file(part).write_text(etag if etag.startswith('"') else "")


def _etag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _matches(part: Path, file: RemoteFile) -> bool:
    if not part.exists():
        return False
    with part.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn the disk's refusal into a PipelineError: no other mirror would help."""
    try:
        yield
    except OSError as error:
        raise PipelineError(
            f"cannot write to {folder}: {error.strerror or error}; free space or fix its "
            "permissions, then run again"
        ) from error
