"""Servers in front of servers: the same answers, the load shared, and one that dies does not take the others along."""

import json
import socket
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event

import orjson
import pytest

from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_upstream import ChatReader
from gadfly.completion import Usage
from gadfly.conversation import Finished, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStart
from gadfly.errors import BusyError, CapacityError, NotFoundError, RequestError
from gadfly.server.gate import House
from gadfly.server.keys import new_key
from gadfly.server.limits import Limits
from gadfly.server.models import Models
from gadfly.server.remote import RemoteShelf
from gadfly.server.service import Service
from gadfly.server.upstream import Pool
from gadfly.testing import ScriptedAnswers
from serving import Shelf, eventually, service_for, serving

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello?"}]
FULL = (
    ReasoningDelta("Hm."),
    TextDelta("Hel"),
    TextDelta("lo."),
    ToolCallStart(0, "abcdefghi", "wave"),
    ToolCallDelta(0, "{}"),
    Finished("tool_calls", Usage(7, 3, 5, 0.0, 0.0)),
)
TOOLS = [{"type": "function", "function": {"name": "wave", "parameters": {"type": "object"}}}]


@contextmanager
def in_front_of(*servers, own=None, key=None):
    pool = Pool([server.url for server in servers], key, interval=0.05)
    models = Models(RemoteShelf(pool, own))
    try:
        with serving(Service(models, Limits(grace=5.0), default_model="scripted")) as front:
            front.pool = pool
            yield front
    finally:
        pool.close()


@contextmanager
def upstreams(*llms):
    with ExitStack() as stack:
        yield [stack.enter_context(serving(service_for(llm))) for llm in llms]


def stripped(body):
    """Without what is different every time."""
    return {name: value for name, value in body.items() if name not in ("id", "created")}


def test_an_answer_is_the_same_in_front_as_behind():
    llm = ScriptedAnswers(FULL)
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        assert [model["id"] for model in front.client.get("/v1/models").json()["data"]] == ["scripted"]
        asked = {"messages": MESSAGES, "tools": TOOLS, "temperature": 0, "seed": 7, "n": 2}
        bodies = [stripped(server.post(CHAT, model="scripted", **asked).json()) for server in (behind, front)]
        for body in bodies:  # what several answers took together is all that is told in front
            body["usage"].pop("completion_tokens_details")
        assert bodies[0] == bodies[1]
        assert bodies[0]["system_fingerprint"] and bodies[0]["usage"]["prompt_tokens_details"]["cached_tokens"] == 3
        assert llm.requests[0] == llm.requests[1]
        streamed = front.post(CHAT, **asked, stream=True).text
        assert f'"{bodies[0]["system_fingerprint"]}"' in streamed.split("\n\n")[0]
        assert "Hm." in streamed and "wave" in streamed and streamed.endswith("[DONE]\n\n")
        message = front.post("/v1/messages", messages=MESSAGES, max_tokens=9).json()
        assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
        assert front.post("/v1/completions", prompt="Once", max_tokens=4).json()["choices"][0]["text"] == "Hello."


class Halting(ScriptedAnswers):
    """Gives out the first event of each answer, and the others when the beginning has been looked at."""

    def _next(self, request, listener, terms):
        answer = super()._next(request, listener, terms)
        self.hold()
        for choice in answer.choices:
            choice.take = partial(first_and_then, choice._next(1), choice.take)
        return answer


def first_and_then(first, take):
    return [first.pop()] if first else take()


def strict(body):
    if "continuous_usage_stats" in body.get("stream_options", {}):
        raise RequestError("unknown parameter: stream_options.continuous_usage_stats")
    return read_chat(body)


@pytest.mark.parametrize(("read", "tokens", "refused"), [(read_chat, 7, 0), (strict, 0, 1)])
def test_a_message_in_front_begins_with_what_its_prompt_takes_if_the_engine_says_so(monkeypatch, read, tokens, refused):
    monkeypatch.setattr("gadfly.server.routes.openai.read_chat", read)
    llm = Halting(FULL)
    asked = {"messages": MESSAGES, "max_tokens": 9, "stream": True}
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        for _ in range(2):
            with front.client.stream("POST", "/v1/messages", json=asked) as answer:
                lines = (line[6:] for line in answer.iter_lines() if line.startswith("data: "))
                usage = json.loads(next(lines))["message"]["usage"]
                assert usage["input_tokens"] + usage["cache_read_input_tokens"] == tokens
                llm.release()
                *_, delta, _ = map(json.loads, lines)
                assert delta["usage"]["input_tokens"] + delta["usage"]["cache_read_input_tokens"] == 7
        assert sum(" 400 " in line for line in behind.lines.text) == refused


def test_what_an_engine_sends_within_a_line_ends_no_line(monkeypatch):
    monkeypatch.setattr("gadfly.server.stream._in_one_line", orjson.dumps)  # as other engines do it
    text = "a\x85b\u2028c"
    llm = ScriptedAnswers((TextDelta(text), Finished("stop", Usage(7, 3, 5, 0.0, 0.0))))
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        assert text in behind.post(CHAT, model="scripted", messages=MESSAGES, stream=True).text
        assert front.post(CHAT, messages=MESSAGES).json()["choices"][0]["message"]["content"] == text


def test_a_persona_is_put_in_front_on_this_side():
    llm = ScriptedAnswers(FULL)
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        assert front.post(CHAT, messages=MESSAGES, persona="gadfly", wit=1).status_code == 200
        (request,) = llm.requests
        assert request.persona is request.wit is None
        assert request.messages[0].role == "system"


def test_refusals_are_handed_on():
    with upstreams(ScriptedAnswers(FULL, context=64)) as (behind,), in_front_of(behind) as front:
        long = [{"role": "user", "content": "x" * 100}]
        for stream in (False, True):
            refused = front.post(CHAT, messages=long, stream=stream)
            assert refused.status_code == 400
            assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert front.post(CHAT, model="other", messages=MESSAGES).status_code == 404
        assert front.post("/tokenize", content="x").status_code == 400


def test_tokens_are_counted_and_vectors_made_behind():
    llm = ScriptedAnswers(FULL)
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        asked = {"messages": MESSAGES, "max_tokens": 9}
        counts = [server.post("/v1/messages/count_tokens", **asked).json() for server in (behind, front)]
        assert counts[0] == counts[1] and counts[0]["input_tokens"] > len("Hello?")
        inputs = {"model": "scripted", "input": ["Hello?", [1, 2]]}
        vectors = [server.post("/v1/embeddings", **inputs).json() for server in (behind, front)]
        assert vectors[0] == vectors[1] and vectors[0]["usage"]["prompt_tokens"] == len("Hello?") + 2
        assert front.post("/api/embed", model="scripted", input="Hello?", truncate=True).json()["embeddings"]
        assert llm.requests[-1].truncate
        behind.end()
        assert front.post("/v1/embeddings", **inputs).status_code == 503


def test_what_an_engine_does_not_have_or_gets_wrong_is_said(monkeypatch):
    with upstreams(ScriptedAnswers(FULL)) as (behind,), in_front_of(behind) as front:
        assert front.post("/v1/embeddings", model="scripted", input="x").status_code == 200
        monkeypatch.setattr("gadfly.server.remote.write_count", lambda *_: {"model": "elsewhere", "messages": MESSAGES})
        refused = front.post("/v1/messages/count_tokens", messages=MESSAGES)
        assert refused.status_code == 400 and "tokens of prompts are not told" in refused.text
        monkeypatch.setattr("gadfly.server.remote._embeddings", lambda answer: answer["nothing"])
        assert front.post("/v1/embeddings", model="scripted", input="x").status_code == 503


def test_a_key_is_shown_to_upstreams():
    key, text = new_key("front")
    house = House(closed=True, keys=lambda: (key,))
    with serving(service_for(ScriptedAnswers(FULL)), house) as behind:
        with in_front_of(behind, key=text) as front:
            assert front.post(CHAT, messages=MESSAGES).status_code == 200
        with in_front_of(behind, key="wrong") as front:
            assert front.post(CHAT, messages=MESSAGES).status_code == 404


def test_a_client_that_leaves_in_front_is_not_worked_for_behind():
    llm = ScriptedAnswers(FULL)
    llm.hold()
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        with front.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}):
            assert eventually(lambda: len(llm.choices) == 1)
            assert 'gadfly_requests_running{model="scripted"} 1.0' in front.client.get("/metrics").text
        assert eventually(lambda: llm.choices[0].cancelled)


class Slow(ScriptedAnswers):
    """Makes vectors until they are given up."""

    def embed(self, request, cancellation, **terms):
        self.given_up = Event()
        cancellation.then(self.given_up.set)
        super().embed(request, **terms)
        assert self.given_up.wait(60)
        raise BusyError("given up", 1.0)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed", "/api/embeddings"])
def test_vectors_that_nobody_waits_for_are_not_made_in_front_nor_behind(path):
    llm = Slow()
    with upstreams(llm) as (behind,), in_front_of(behind) as front:
        with socket.create_connection((front.host, front.port)) as connection:
            body = b'{"model": "scripted", "input": "x", "prompt": "x"}'
            head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (path.encode(), len(body))
            connection.sendall(head + body)
            assert eventually(lambda: llm.requests)
        assert eventually(llm.given_up.is_set)
        for server in (front, behind):
            assert eventually(lambda server=server: server.service.models.loaded[0].users == 0)
            assert eventually(lambda server=server: any(" 499 " in line for line in server.lines.text))


def test_the_load_is_shared():
    llms = [ScriptedAnswers(FULL), ScriptedAnswers(FULL)]
    for llm in llms:
        llm.hold()
    with upstreams(*llms) as behind, in_front_of(*behind) as front, ExitStack() as stack:
        for _ in range(6):
            asked = front.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True})
            stack.enter_context(asked)
        assert eventually(lambda: [len(llm.choices) for llm in llms] == [3, 3])


def test_one_that_dies_does_not_take_the_others_along():
    llms = [ScriptedAnswers(FULL), ScriptedAnswers(FULL)]
    llms[0].hold()
    with (
        serving(service_for(llms[0], limits=Limits(grace=0.05))) as dying,
        serving(service_for(llms[1])) as living,
        in_front_of(dying, living) as front,
    ):
        with front.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}) as broken:
            assert eventually(lambda: llms[0].choices)
            dying.end()
            last = [line for line in broken.iter_lines() if line.startswith("data: {")][-1]
        assert "upstream" in json.loads(last.removeprefix("data: "))["error"]["message"]
        for _ in range(4):
            assert front.post(CHAT, messages=MESSAGES).status_code == 200
        assert len(llms[1].requests) == 4
        living.end()
        refused = front.post(CHAT, messages=MESSAGES)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]


def test_models_of_our_own_stand_beside():
    own = Shelf({"own": lambda: ScriptedAnswers(FULL)})
    with upstreams(ScriptedAnswers(FULL)) as (behind,), in_front_of(behind, own=own) as front:
        assert {model["id"] for model in front.client.get("/v1/models").json()["data"]} == {"own", "scripted"}
        for model in ("own", "scripted"):
            assert front.post(CHAT, model=model, messages=MESSAGES).status_code == 200


def test_none_that_can_be_reached_is_an_error():
    pool = Pool(["http://127.0.0.1:1"])
    try:
        assert pool.models() == {}
        with pytest.raises((CapacityError, NotFoundError)):
            pool.ask("a", CHAT, {}, ChatReader(1), 1, lambda _: None)
    finally:
        pool.close()
