"""A web server on 127.0.0.1 whose pages fail in chosen ways."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = server.pages.get(self.path, Page(status=404))
            wanted = self.headers["Range"]
            page.ranges.append(wanted)
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
