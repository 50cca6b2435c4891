"""What the page of the chat app does over HTTP, without a browser: for tests of the server behind it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

Event = tuple[str, dict[str, Any]]
SILENT = 8  # heartbeats without an event, 15 seconds each


class ChatPage:
    """`headers` go with everything, as a key or a cookie would."""

    def __init__(self, url: str, **headers: str) -> None:
        self.client = httpx2.Client(base_url=f"{url}/app/api", headers=headers, timeout=None, trust_env=False)

    def get(self, path: str, **parameters: Any) -> Any:
        return told(self.client.get(path, params=parameters))

    def post(self, path: str, **body: Any) -> Any:
        return told(self.client.post(path, json=body))

    def patch(self, path: str, **body: Any) -> Any:
        return told(self.client.patch(path, json=body))

    def put(self, path: str, **body: Any) -> Any:
        return told(self.client.put(path, json=body))

    def delete(self, path: str, **parameters: Any) -> Any:
        return told(self.client.delete(path, params=parameters))

    def chat(self, **fields: Any) -> str:
        """A new one, by its id."""
        return self.post("/chats", **fields)["chat"]["id"]

    def nodes(self, chat: str) -> list[dict[str, Any]]:
        return self.get(f"/chats/{chat}")["nodes"]

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[Event]]:
        """What comes, from the first event on."""
        with self.client.stream("GET", path) as answer:
            assert answer.status_code == 200
            yield read_events(answer.iter_lines())


def told(answer: httpx2.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def read_events(lines: Iterator[str]) -> Iterator[Event]:
    """Raises AssertionError if there is nothing but signs of life for long, so that no test waits for ever."""
    name, silent = "", 0
    for line in lines:
        if line.startswith(":"):
            silent += 1
            assert silent < SILENT, f"nothing has come since {name}"
        elif line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            silent = 0
            yield name, json.loads(line[6:])


def until(events: Iterator[Event], name: str) -> list[Event]:
    """Events up to one of this name."""
    found = []
    for one in events:
        found.append(one)
        if one[0] == name:
            return found
    raise AssertionError(f"there was no {name} among {[one[0] for one in found]}")


def text_of(events: list[Event]) -> str:
    """What deltas say, each of which has to begin where the one before ended."""
    text = ""
    for name, data in events:
        if name == "delta" and "text" in data:
            assert data["at"] == len(text.encode("utf-16-le")) // 2, (data, text)
            text += data["text"]
    return text
