"""What all sorts of clients do to a server, one thing after another and drawn by chance: the traffic of soak.py.

Each visit says what it was, and fails if it was answered otherwise than it should. Being told that there is no room
just now is a proper answer.
"""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx2

__all__ = ["Visitor"]

WORDS = ["the", "gadfly", "horse", "river", "Athens", "question", "bread", "why", "never", "under", "light", "or"]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
NO_ROOM = (429, 503)
PATIENCE = 300  # seconds, after which an answer counts as stuck


class Visitor:
    """One client of the server at `url`. The first of `models` is an able one, which is there all the time."""

    def __init__(self, url: str, models: Sequence[str], seed: int) -> None:
        self._url = url
        self._models = models
        self._chance = Random(seed)
        self._client = httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False)
        self._visits: Sequence[Callable[[], object]] = (
            *[self._chat] * 4,
            *[self._leaving] * 4,
            self._tools,
            self._schema,
            self._several,
            self._scores,
            self._responses,
            self._message,
            self._message_with_tools,
            self._ollama,
            self._ollama,
            self._generate,
            self._unloading,
            self._vectors,
            self._counting,
            self._looking,
            self._half,
            self._gone,
            self._nonsense,
        )

    def visit(self) -> str:
        """Do one of the things, and say which. Raises AssertionError, or what the client does, if it goes wrong."""
        chosen = self._chance.choice(self._visits)
        try:
            chosen()
        except _NoRoomError:
            return "no room"
        return chosen.__name__.strip("_")

    def close(self) -> None:
        self._client.close()

    def _chat(self) -> None:
        asked = {"messages": self._messages(), **self._terms(), "stream_options": {"include_usage": True}}
        *chunks, usage = self._events("/v1/chat/completions", model=self._model(), **asked)
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length"), chunks[-1]
        assert usage["usage"]["completion_tokens"] > 0 or not text, usage

    def _leaving(self) -> None:
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("/v1/chat/completions", {"messages": self._messages()}),
            ("/v1/messages", {"messages": self._messages()}),
            ("/api/chat", {"messages": self._messages(), "options": {"num_predict": 500}}),
        ]
        path, asked = self._chance.choice(kinds)
        body = {"model": self._model(), "max_tokens": 500, "stream": True, **asked}
        with self._client.stream("POST", path, json=body) as answer:
            _check(answer)
            for count, _ in enumerate(answer.iter_lines()):
                if count >= self._chance.randrange(1, 12):
                    break

    def _tools(self) -> None:
        tool = {"type": "function", "function": {"name": "weather", "parameters": CITY, "strict": True}}
        asked = {"messages": self._messages(9), "tools": [tool], "tool_choice": "required", **self._terms()}
        chunks = self._events("/v1/chat/completions", model=self._model(), **asked)
        calls = [c for chunk in chunks for c in chunk["choices"][0]["delta"].get("tool_calls", ())]
        if chunks[-1]["choices"][0]["finish_reason"] == "tool_calls":
            json.loads("".join(call["function"]["arguments"] for call in calls if call["index"] == 0))
        assert not any(chunk["choices"][0]["delta"].get("content") for chunk in chunks), chunks

    def _schema(self) -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
        asked = {"messages": self._messages(9), "response_format": wanted, **self._terms()}
        (choice,) = self._post("/v1/chat/completions", model=self._model(), **asked)["choices"]
        if choice["finish_reason"] == "stop":
            assert "city" in json.loads(choice["message"]["content"])

    def _several(self) -> None:
        asked = {"messages": self._messages(), "n": 3, "logprobs": True, "top_logprobs": 2, **self._terms()}
        answer = self._post("/v1/chat/completions", model=self._model(), **asked)
        assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]

    def _scores(self) -> None:
        asked = {"prompt": [self._text(60), self._text(9)], "echo": True, "logprobs": 1, "max_tokens": 0}
        for choice in self._post("/v1/completions", model=self._model(), **asked)["choices"]:
            assert all(score < 0.001 for score in choice["logprobs"]["token_logprobs"][1:])

    def _responses(self) -> None:
        model = self._model()
        first = self._post("/v1/responses", model=model, input=self._text(30), max_output_tokens=8)
        asked = {"input": self._text(9), "previous_response_id": first["id"], "max_output_tokens": 8, "store": False}
        last = self._events("/v1/responses", model=model, **asked)[-1]["response"]
        assert last["status"] in ("completed", "incomplete") and last["usage"]["input_tokens"], last
        assert self._client.delete(f"/v1/responses/{first['id']}").status_code == 200

    def _message(self) -> None:
        told = self._events("/v1/messages", model=self._model(), messages=self._messages(), **self._terms())
        events = [event for event in told if event["type"] != "ping"]  # of an answer that is slow to begin
        assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
        assert events[0]["message"]["usage"]["input_tokens"] + events[0]["message"]["usage"]["cache_read_input_tokens"]

    def _message_with_tools(self) -> None:
        tools = [{"name": "weather", "input_schema": CITY}]
        asked = {"messages": self._messages(9), "tools": tools, "tool_choice": {"type": "any"}, **self._terms()}
        kinds = {block["type"] for block in self._post("/v1/messages", model=self._model(), **asked)["content"]}
        assert kinds <= {"tool_use"}, kinds

    def _ollama(self) -> None:
        asked = {"messages": self._messages(), "options": {"num_predict": 24, "temperature": self._chance.random()}}
        lines = self._events("/api/chat", model=self._model(), **asked)
        assert lines[-1]["done"] and not any(line["done"] for line in lines[:-1])

    def _generate(self) -> None:
        asked = {"prompt": self._text(40), "raw": True, "stream": False, "options": {"num_predict": 16}}
        assert self._post("/api/generate", model=self._model(), **asked)["done"]

    def _unloading(self) -> None:
        """A model that is in use is not let go of, which is said with the status of having no room."""
        model = self._chance.choice(self._models[1:])
        assert self._post("/api/generate", model=model, keep_alive=0)["done_reason"] == "unload"

    def _vectors(self) -> None:
        texts = [self._text(30) for _ in range(3)]
        assert len(self._post("/v1/embeddings", model=self._model(), input=texts)["data"]) == 3

    def _counting(self) -> None:
        asked = {"model": self._model(), "messages": self._messages()}
        counted = self._post("/v1/messages/count_tokens", **asked)["input_tokens"]
        assert counted == len(self._post("/tokenize", **asked)["tokens"])

    def _looking(self) -> None:
        for path in ("/v1/models", "/api/tags", "/api/ps", "/metrics", "/health/ready", "/openapi.json"):
            assert self._client.get(path).status_code == 200

    def _half(self) -> None:
        """The server is waiting for the rest of it."""
        with self._socket() as connection:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")

    def _gone(self) -> None:
        """Before anything has come back."""
        body = json.dumps({"model": self._model(), "messages": self._messages(), "stream": True}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
        with self._socket() as connection:
            connection.sendall(head + body)

    def _nonsense(self) -> None:
        chat, known = "/v1/chat/completions", {"model": self._models[0], "messages": self._messages(3)}
        path, body, status = self._chance.choice(
            [
                (chat, {**known, "model": "gpt-9"}, 404),
                (chat, {**known, "temperature": "hot"}, 400),
                (chat, {**known, "messages": [{"role": "user", "content": "word " * 4000}]}, 400),
                (chat, {**known, "grammar": "root ::= ("}, 400),
                ("/v1/messages", {**known, "tools": [{"name": "no spaces"}]}, 400),
                ("/v1/responses", {"model": self._models[0], "input": [{"id": "msg_none_0"}]}, 404),
                ("/api/chat", {**known, "format": 7}, 400),
                ("/v1/embeddings", {"model": self._models[0], "input": ""}, 400),
                ("/nowhere", {}, 404),
            ]
        )
        answer = self._client.post(path, json=body)
        assert answer.status_code == status, (path, body, answer.text)

    def _model(self) -> str:
        """Mostly the one that is there."""
        return self._models[0] if self._chance.random() < 0.6 else self._chance.choice(self._models[1:])

    def _text(self, most: int) -> str:
        return " ".join(self._chance.choices(WORDS, k=self._chance.randint(1, most)))

    def _messages(self, most: int = 60) -> list[dict[str, str]]:
        return [{"role": "user", "content": self._text(most)}]

    def _terms(self) -> dict[str, Any]:
        return {"max_tokens": self._chance.randint(1, 40), "temperature": self._chance.choice([0, 0.8, 1.5])}

    def _post(self, path: str, **body: Any) -> Any:
        answer = self._client.post(path, json=body)
        _check(answer)
        return answer.json()

    def _events(self, path: str, **body: Any) -> list[Any]:
        """Of a stream that is read to its end: events, or lines."""
        with self._client.stream("POST", path, json={"stream": True, **body}) as answer:
            _check(answer)
            found = list(_parsed(answer.iter_lines()))
        assert found and not any("error" in event for event in found if isinstance(event.get("error"), dict)), found
        return found

    def _socket(self) -> socket.socket:
        place = urlsplit(self._url)
        assert place.hostname is not None
        return socket.create_connection((place.hostname, place.port or 80), timeout=PATIENCE)


class _NoRoomError(Exception):
    pass


def _check(answer: httpx2.Response) -> None:
    if answer.status_code in NO_ROOM:
        answer.read()
        assert answer.headers["retry-after"], answer.text
        raise _NoRoomError
    assert answer.status_code == 200, (answer.status_code, answer.read())


def _parsed(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        data = line.removeprefix("data: ")
        if data.startswith("{"):
            yield json.loads(data)
