"""MCP servers that are reached over HTTP: one of the official SDK, and one by hand that misbehaves."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from gadfly.chat.tools.mcp import McpSource
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.result import ToolResult
from gadfly.chat.tools.server import ToolServer
from gadfly.errors import ToolError

SERVERS = Path(__file__).parents[3] / "tool_servers"
LONG = 250.0  # seconds that nobody waits for in vain
POKE = {"name": "poke", "description": "Poke it.", "inputSchema": {"type": "object"}}


class Rude:
    """An MCP server whose answer to a call is `poked`; `requests` are methods, paths, headers and messages."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.poked: Callable[[Handler, dict[str, Any]], None] = lambda handler, message: handler.answer(
            message, {"content": [{"type": "text", "text": "ouch"}]}
        )
        self.session = "s1"
        self.release = threading.Event()
        rude = self

        class Bound(Handler):
            server_of_tools = rude

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/mcp"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    server_of_tools: Rude
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.note(message)
        match message.get("method"):
            case "initialize":
                result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}, "serverInfo": {}}
                self.answer(message, result, {"Mcp-Session-Id": self.server_of_tools.session})
            case "tools/list":
                self.answer(message, {"tools": [POKE]})
            case "tools/call":
                if self.headers["mcp-session-id"] != self.server_of_tools.session:
                    self.send(404, b"")
                else:
                    self.server_of_tools.poked(self, message)
            case _:
                self.send(202, b"")

    def do_GET(self) -> None:
        self.note(None)
        event = {"jsonrpc": "2.0", "id": 3, "result": {"content": [{"type": "text", "text": "at last"}]}}
        self.send(200, f"id: 2\ndata: {json.dumps(event)}\n\n".encode(), {"Content-Type": "text/event-stream"})

    def do_DELETE(self) -> None:
        self.note(None)
        self.send(200, b"")

    def note(self, message: Any) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.server_of_tools.requests.append((self.command, headers, message))

    def answer(self, message: dict[str, Any], result: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self.send(200, body, {"Content-Type": "application/json", **(headers or {})})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self, kind: str) -> None:
        """The head of an answer that ends when the connection does."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def rude() -> Iterator[Rude]:
    server = Rude()
    yield server
    server.close()


@pytest.fixture
def source(rude: Rude) -> Iterator[McpSource]:
    made = McpSource(ToolServer("far", url=rude.url, headers={"Authorization": "Bearer hush"}))
    yield made
    made.close()


def poke(source: McpSource, seconds: float = LONG, cancelled: threading.Event | None = None) -> str:
    return source.call("poke", {}, Patience(seconds, cancelled)).text


@pytest.fixture(params=[[], ["json"]], ids=["events", "json"])
def good(request: pytest.FixtureRequest) -> Iterator[McpSource]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVERS / "good.py"), str(port), *request.param]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while started.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        sleep(0.05)
    made = McpSource(ToolServer("good", url=f"http://127.0.0.1:{port}/mcp"))
    yield made
    made.close()
    started.kill()
    started.wait()


def test_a_server_of_the_official_sdk_answers_with_and_without_a_handshake(
    good: McpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gadfly.chat.tools.json_rpc import Refusal

    assert [tool.name for tool in good.tools(Patience(LONG))[0]][:2] == ["add", "fail"]
    assert good.version == "2025-11-25"
    assert good.call("add", {"a": 2, "b": 3}, Patience(LONG)) == ToolResult("5")
    assert good.call("fail", {}, Patience(LONG)).failed
    assert len(good.call("long", {"length": 200_000}, Patience(LONG)).text) == 200_000

    assert good._connection
    good._connection.close()
    monkeypatch.setattr(good, "_begin", lambda at, wait: good._begin_stateless(at, wait, Refusal("no", 0)))
    assert good.call("add", {"a": 2, "b": 4}, Patience(LONG)) == ToolResult("6")
    assert good.version == "2026-07-28"


def test_headers_session_and_version_are_sent_and_the_session_ends(rude: Rude, source: McpSource) -> None:
    assert poke(source) == "ouch"
    source.close()
    methods = [(kind, (message or {}).get("method")) for kind, _, message in rude.requests]
    assert methods == [
        ("POST", "initialize"),
        ("POST", "notifications/initialized"),
        ("POST", "tools/call"),
        ("DELETE", None),
    ]
    assert all(headers["authorization"] == "Bearer hush" for _, headers, _ in rude.requests)
    assert "mcp-session-id" not in rude.requests[0][1] and "mcp-protocol-version" not in rude.requests[0][1]
    for _, headers, _ in rude.requests[1:3]:
        assert headers["mcp-session-id"] == "s1" and headers["mcp-protocol-version"] == "2025-11-25"


def test_a_session_that_was_forgotten_is_begun_anew(rude: Rude, source: McpSource) -> None:
    assert poke(source) == "ouch"
    rude.session = "s2"
    with pytest.raises(ToolError, match="has forgotten the session"):
        poke(source)
    assert poke(source) == "ouch"


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (401, {}, "lets nobody in without a key"),
        (500, {}, "answers 500"),
        (302, {"Location": "http://elsewhere.example/"}, "redirects to 'http://elsewhere.example/'"),
        (200, {"Content-Encoding": "gzip", "Content-Type": "application/json"}, "compresses"),
        (200, {"Content-Type": "text/html"}, "no answer"),
    ],
)
def test_refusals_say_what_to_do(
    rude: Rude, source: McpSource, status: int, headers: dict[str, str], says: str
) -> None:
    rude.poked = lambda handler, _: handler.send(status, b"<html>", headers)
    with pytest.raises(ToolError, match=says):
        poke(source)


def test_an_error_in_a_refusal_is_told(rude: Rude, source: McpSource) -> None:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "poke harder"}}
    rude.poked = lambda handler, _: handler.send(400, json.dumps(error).encode())
    with pytest.raises(ToolError, match="far refuses: poke harder"):
        poke(source)


def test_silence_and_drips_end_with_patience(rude: Rude, source: McpSource) -> None:
    source.tools(Patience(LONG))
    rude.poked = lambda *_: rude.release.wait() and None
    with pytest.raises(ToolError, match=r"did not answer within 0\.2 s"):
        poke(source, 0.2)
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    with pytest.raises(ToolStopped):
        poke(source, cancelled=cancelled)

    def drip(handler: Handler, _: object) -> None:
        handler.begin("text/event-stream")
        while not rude.release.wait(0.01):
            handler.wfile.write(b": still here\n\n")

    rude.poked = drip
    with pytest.raises(ToolError, match="did not answer"):
        poke(source, 0.3)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "events"])
def test_floods_are_bounded(rude: Rude, source: McpSource, kind: str) -> None:
    def flood(handler: Handler, _: object) -> None:
        handler.begin("text/event-stream" if kind == "events" else kind)
        piece = b"data: " + b"x" * 50_000 + b"\n\n" if kind == "events" else b"x" * 50_000
        try:
            while not rude.release.is_set():
                handler.wfile.write(piece)
        except OSError:  # the client has had enough
            pass

    rude.poked = flood
    with pytest.raises(ToolError, match="4000000"):
        poke(source)


def test_events_before_the_answer_are_passed_over_and_requests_are_replied_to(rude: Rude, source: McpSource) -> None:
    def answer(handler: Handler, message: dict[str, Any]) -> None:
        handler.begin("text/event-stream; charset=utf-8")
        for event in (
            "nonsense",
            json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}),
            json.dumps({"jsonrpc": "2.0", "id": 9, "method": "roots/list"}),
            json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}),
        ):
            handler.wfile.write(f"data: {event}\n\n".encode())

    rude.poked = answer
    assert poke(source) == "[the tool gave nothing back]"
    reply = rude.requests[-1][2]
    assert reply["id"] == 9 and reply["error"]["code"] == -32601


def test_a_stream_that_breaks_off_is_taken_up_again(rude: Rude, source: McpSource) -> None:
    source.tools(Patience(LONG))

    def begin(handler: Handler, _: object) -> None:
        handler.begin("text/event-stream")
        handler.wfile.write(b"id: 1\nretry: 10\ndata:\n\n")

    rude.poked = begin
    assert poke(source) == "at last"
    kind, headers, _ = rude.requests[-1]
    assert kind == "GET" and headers["last-event-id"] == "1" and headers["mcp-session-id"] == "s1"

    def drop(handler: Handler, _: object) -> None:
        handler.begin("text/event-stream")

    rude.poked = drop
    with pytest.raises(ToolError, match="broke off"):
        poke(source)


def test_who_is_not_there_cannot_be_reached() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ToolError, match="cannot be reached"):
        McpSource(ToolServer("gone", url=f"http://127.0.0.1:{port}/mcp")).tools(Patience(LONG))
