"""The web search: what a SearXNG answers, and what else may be at its address."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gadfly.chat.tools.patience import Patience
from gadfly.chat.tools.searxng import SearxngSource
from gadfly.chat.tools.server import ToolServer
from gadfly.errors import ToolError


class Instance:
    def __init__(self) -> None:
        self.status = 200
        self.body: bytes = b"{}"
        self.paths: list[str] = []


@pytest.fixture
def instance() -> Iterator[tuple[Instance, SearxngSource]]:
    made = Instance()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.paths.append(self.path)
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made, SearxngSource(ToolServer("web", searxng=f"http://127.0.0.1:{server.server_port}/searx/"))
    server.shutdown()
    server.server_close()
    thread.join()


def search(source: SearxngSource, query: Any = "gad & fly") -> str:
    return source.call("search", {"query": query}, Patience(60)).text


def test_results_are_told_with_title_address_and_lines(instance: tuple[Instance, SearxngSource]) -> None:
    made, source = instance
    results: list[Any] = [
        {"title": "Gadfly", "url": "https://a.example/", "content": "stings\n  horses"},
        {"title": None, "url": "https://b.example/"},
        {"title": "no address"},
        "nonsense",
        *({"title": str(i), "url": f"https://{i}.example/", "content": "x" * 9000} for i in range(20)),
    ]
    made.body = json.dumps({"results": results}).encode()
    said = search(source)
    assert said.startswith(
        "Gadfly\nhttps://a.example/\nstings horses\n\nhttps://b.example/\n\n0\nhttps://0.example/\nx"
    )
    assert said.count("https://") == 8 and len(said) < 6000
    asked = urlsplit(made.paths[0])
    assert asked.path == "/searx/search" and parse_qs(asked.query) == {"q": ["gad & fly"], "format": ["json"]}


def test_nothing_found_is_said(instance: tuple[Instance, SearxngSource]) -> None:
    made, source = instance
    made.body = b'{"results": []}'
    assert search(source, "x\ud800") == "Nothing was found for 'x\\ud800'."


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (403, b"", "add json to search.formats"),
        (500, b"", "answers 500"),
        (200, b"<html>", "no list of results"),
        (200, b'{"results": {"a": 1}}', "no list of results"),
        (200, b" " * 5_000_000, "more than 4000000 bytes"),
    ],
)
def test_what_is_no_answer_is_an_error(
    instance: tuple[Instance, SearxngSource], status: int, body: bytes, says: str
) -> None:
    made, source = instance
    made.status, made.body = status, body
    with pytest.raises(ToolError, match=says):
        search(source)


def test_a_query_has_to_be_one(instance: tuple[Instance, SearxngSource]) -> None:
    made, source = instance
    for query in (None, 7, "", "  ", "x" * 501):
        with pytest.raises(ToolError, match="1 to 500 characters"):
            search(source, query)
    assert not made.paths
