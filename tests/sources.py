"""Mirrors: a data set of six times twenty records in every form, and a server that can fail."""

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from PIL import Image

from pipeline.datasets import cifar10

RECORDS = 20


def tiny_dataset(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, bytes]:
    """Make six generated files the official ones; returns their content by name."""
    digests = synthetic.write_batches(folder, images_per_file=RECORDS)
    monkeypatch.setattr(cifar10, "FILE_RECORDS", RECORDS)
    for table in ("TRAIN_FILES", "TEST_FILES"):
        own = {name: digests[name] for name in getattr(cifar10, table)}
        monkeypatch.setattr(cifar10, table, own)
    return {name: (folder / name).read_bytes() for name in digests}


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
        rows = images.reshape(len(images), -1, 3)
        members[f"package/{name.removesuffix('.bin')}.png"] = _png(rows)
        labels["train" if name in cifar10.TRAIN_FILES else "test"] += split_labels.tolist()
    members = dict(reversed(members.items()))
    for split, values in labels.items():
        members[f"package/{split}_lables.json"] = json.dumps(values).encode()
    return tar(members)


def _png(pixels: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


@dataclass
class Page:
    """What one path serves, and the Range of each request for it."""

    content: bytes = b""
    status: int = 200  # another one is answered without content
    headers: dict[str, str] = field(default_factory=dict)
    honours_range: bool = True
    breaks_after: list[int] = field(default_factory=list)  # bytes, for one connection each
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
            page = server.pages.get(self.path, Page(status=404))
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
            end = page.breaks_after.pop(0) if page.breaks_after else page.stalls_after
            self.wfile.write(body[:end])
            if page.stalls_after is not None:
                server.closing.wait(60)

        def log_message(self, *_: Any) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that closes the connection is no error of the test."""

    with QuietServer(("127.0.0.1", 0), Handler) as http:
        server = Server(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            http.shutdown()
            thread.join()
