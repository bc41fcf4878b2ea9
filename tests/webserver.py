"""A web server on this machine that behaves as well or as badly as a test wants."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """One address: what it serves, how, and who asked."""

    content: bytes = b""
    etag: str | None = None
    status: int | None = None  # an error to answer with
    headers: dict[str, str] = field(default_factory=dict)
    honours_range: bool = True
    shifts_range_by: int = 0  # answers a Range with bytes from elsewhere
    cuts: list[int] = field(
        default_factory=list
    )  # bytes after which a connection breaks, each once
    stalls_after: int | None = None
    bytes_per_second: int | None = None
    silent: bool = False  # never answers at all
    asked: list[dict[str, str]] = field(default_factory=list)  # the headers of each request


class Server:
    """`pages` by path; `url(path)` is where they are."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.closing = threading.Event()
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = server.pages.get(self.path, Page(status=404))
            page.asked.append(dict(self.headers))
            if page.silent:
                server.closing.wait(10)
            elif page.status:
                self.send_error(page.status)
            else:
                self.answer(page)

        def answer(self, page: Page) -> None:
            start, total = 0, len(page.content)
            wanted = self.headers.get("Range", "")
            if wanted and page.honours_range and self.headers.get("If-Range") in (None, page.etag):
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) + page.shifts_range_by
                self.send_response(206 if start < total else 416)
                place = f"{start}-{total - 1}" if start < total else "*"
                self.send_header("Content-Range", f"bytes {place}/{total}")
            else:
                self.send_response(200)
            body = page.content[start:]
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            if page.etag:
                self.send_header("ETag", page.etag)
            self.end_headers()
            self.send(page, body)

        def send(self, page: Page, body: bytes) -> None:
            if page.cuts:
                body = body[: page.cuts.pop(0)]
            if page.stalls_after is not None:
                self.wfile.write(body[: page.stalls_after])
                server.closing.wait(10)
            elif page.bytes_per_second is not None:
                step = max(1, page.bytes_per_second // 50)
                while body and not server.closing.is_set():
                    self.wfile.write(body[:step])
                    body = body[step:]
                    time.sleep(0.02)
            else:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Clients that hang up on a slow answer are what the tests are about."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            http.shutdown()
            thread.join()
