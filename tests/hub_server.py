"""A hub on 127.0.0.1 that speaks the Hugging Face protocol and misbehaves on request.

`serve()` gives one for the length of a test; what it was asked is in `requests`. It has no timing of its own: where a
server has to be silent or slow, it waits for an event.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

__all__ = ["COMMIT", "HubServer", "Served", "gguf", "serve"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def gguf(size: int = 300_000, seed: int = 0) -> bytes:
    """Bytes that begin like a GGUF file and are different everywhere."""
    blocks = b"".join(sha256(f"{seed}:{i}".encode()).digest() for i in range(size // 32 + 1))
    return (b"GGUF" + blocks)[:size]


@dataclass
class Served:
    """A file, and how its server misbehaves."""

    body: bytes = b""
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    status: int = 200  # anything else: answer so, as long as `status_times` lasts
    status_times: int = 1_000_000
    redirect: str | None = None
    needs_token: str | None = None
    drop_after: list[int] = field(default_factory=list)  # per request: close after so many bytes
    length: int | None = None  # what Content-Length says
    unknown_length: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    hold_after: int | None = None  # send so many bytes, then wait for `HubServer.release`
    silent: bool = False  # never answer


@dataclass
class Asked:
    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class HubServer:
    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Asked] = []
        self.release = threading.Event()
        self.holding = threading.Event()  # a file with `hold_after` has been sent that far
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                owner._answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def add_repository(
        self, repository: str, files: dict[str, bytes], licence: str = "apache-2.0", hashes: bool = True
    ) -> dict[str, Served]:
        """List `files` under /api/models and serve each one; what is returned can be made to misbehave."""
        siblings: list[dict[str, object]] = [{"rfilename": "README.md", "size": 3}]
        for name, body in files.items():
            lfs = {"lfs": {"sha256": sha256(body).hexdigest(), "size": len(body)}} if hashes else {}
            siblings.append({"rfilename": name, "size": len(body), **lfs})
        listing = {"id": repository, "sha": COMMIT, "tags": ["gguf", f"license:{licence}"], "siblings": siblings}
        for revision in ("main", COMMIT):
            self.files[f"/api/models/{repository}/revision/{revision}"] = Served(json.dumps(listing).encode())
        served = {name: Served(body) for name, body in files.items()}
        for name, file in served.items():
            self.files[f"/{repository}/resolve/{COMMIT}/{name}"] = file
        return served

    def ranges(self, path: str) -> list[str | None]:
        """The Range headers of the requests for a path."""
        return [asked.range for asked in self.requests if asked.path == path]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Asked(path, headers))
        file = self.files.get(path)
        if file is None:
            return _reply(handler, 404, b"no such thing")
        if file.silent:
            self.release.wait()
            handler.close_connection = True
            return None
        if file.needs_token and headers.get("authorization") != f"Bearer {file.needs_token}":
            return _reply(handler, 401, b"who are you")
        if file.redirect:
            return _reply(handler, 302, b"", Location=file.redirect)
        if file.status != 200 and file.status_times:
            file.status_times -= 1
            return _reply(handler, file.status, b"sorry", **file.headers)
        self._send(handler, file, headers)
        return None

    def _send(self, handler: BaseHTTPRequestHandler, file: Served, headers: dict[str, str]) -> None:
        start, end, status = 0, len(file.body), 200
        validator = headers.get("if-range")
        if file.ranges and "range" in headers and validator in (None, file.etag, file.modified):
            first, _, last = headers["range"].removeprefix("bytes=").partition("-")
            start, end, status = int(first), min(end, int(last or end) + 1), 206
            if start >= len(file.body):
                return _reply(handler, 416, b"", **{"Content-Range": f"bytes */{len(file.body)}"})
        handler.send_response(status)
        if file.etag:
            handler.send_header("ETag", file.etag)
        if file.modified:
            handler.send_header("Last-Modified", file.modified)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(file.body)}")
        for name, value in file.headers.items():
            handler.send_header(name, value)
        if file.unknown_length:
            handler.send_header("Connection", "close")
        else:
            handler.send_header("Content-Length", str((file.length or end) - start))
        handler.end_headers()
        handler.close_connection = file.unknown_length or file.length is not None
        if file.drop_after:
            end = min(end, start + file.drop_after.pop(0))
            handler.close_connection = True
        if file.hold_after is not None:
            handler.wfile.write(file.body[start : file.hold_after])
            handler.wfile.flush()
            self.holding.set()
            self.release.wait()
            start = max(start, file.hold_after)
        handler.wfile.write(file.body[start:end])
        return None


def _reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve() -> Iterator[HubServer]:
    """A running server; a client that goes away in the middle is nothing to complain about."""
    hub = HubServer()
    hub._server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=hub._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        hub._server.shutdown()
        hub._server.server_close()
        thread.join()
