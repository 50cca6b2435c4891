"""Every route, in the dialect it belongs to: parsed, answered, streamed, refused. Formats are tested with `api`."""

import json

import pytest

from gadfly.completion import Usage
from gadfly.conversation import ChatRequest, Finished, TextDelta, TextRequest
from gadfly.errors import BusyError, ContextError, DeadlineError
from gadfly.testing import ScriptedAnswers
from serving import eventually, service_for, serving

MESSAGES = [{"role": "user", "content": "Hello?"}]
FINISHED = Finished("stop", Usage(7, 3, 5, 0.0, 0.0))

CALLS = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "Hello?"},
    "/v1/responses": {"input": "Hello?"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 9},
    "/api/chat": {"model": "scripted", "messages": MESSAGES},
    "/api/generate": {"model": "scripted", "prompt": "Hello?"},
}


def text_of(path, body):
    match path:
        case "/v1/chat/completions":
            return body["choices"][0]["message"]["content"]
        case "/v1/completions":
            return body["choices"][0]["text"]
        case "/v1/responses":
            return body["output"][0]["content"][0]["text"]
        case "/v1/messages":
            return body["content"][0]["text"]
        case "/api/chat":
            return body["message"]["content"]
    return body["response"]


def events(path, text):
    """What was streamed, parsed: events or lines, with the names of events in `type`."""
    if path.startswith("/api/"):
        return [json.loads(line) for line in text.splitlines()]
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if lines and lines["data"] != "[DONE]":
            found.append(json.loads(lines["data"]))
            assert lines.get("event", found[-1].get("type")) == found[-1].get("type")
    return found


def streamed_text(path, found):
    match path:
        case "/v1/chat/completions":
            return "".join(e["choices"][0]["delta"].get("content", "") for e in found if e["choices"])
        case "/v1/completions":
            return "".join(e["choices"][0]["text"] for e in found)
        case "/v1/responses":
            return "".join(e["delta"] for e in found if e["type"] == "response.output_text.delta")
        case "/v1/messages":
            return "".join(e["delta"]["text"] for e in found if e["type"] == "content_block_delta")
    return "".join(text_of(path, line) for line in found)


@pytest.mark.parametrize("path", CALLS)
def test_an_answer_comes_whole_or_as_a_stream(server, llm, path):
    whole = server.post(path, **CALLS[path], stream=False)
    assert whole.status_code == 200
    assert text_of(path, whole.json()) == "Hello."
    streamed = server.post(path, **CALLS[path], stream=True)
    kind = "application/x-ndjson" if path.startswith("/api/") else "text/event-stream"
    assert streamed.headers["content-type"].startswith(kind)
    assert streamed_text(path, events(path, streamed.text)) == "Hello."
    assert llm.requests[0] == llm.requests[1]
    assert isinstance(llm.requests[0], ChatRequest | TextRequest)


@pytest.mark.parametrize("path", CALLS)
def test_whatever_an_answer_says_a_piece_of_it_is_one_line(path):
    text = "a\x85b\u2028c\u2029d\x1ce\x0bf\r\ng"
    with serving(service_for(ScriptedAnswers((TextDelta(text), FINISHED)))) as server:
        lines = server.post(path, **CALLS[path], stream=True).text.splitlines()
    data = [line.removeprefix("data: ") for line in lines if not line.startswith("event: ")]
    found = [json.loads(line) for line in data if line not in ("", "[DONE]")]
    assert streamed_text(path, found) == text


def test_a_message_says_what_its_prompt_took_before_anything_is_written(server):
    begun = events("/v1/messages", server.post("/v1/messages", **CALLS["/v1/messages"], stream=True).text)[0]
    assert begun["message"]["usage"] == {
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 0,
    }


@pytest.mark.parametrize("path", CALLS)
def test_openai_streams_end_with_done_and_no_others_do(server, path):
    streamed = server.post(path, **CALLS[path], stream=True).text
    assert ("[DONE]" in streamed) == (path in ("/v1/chat/completions", "/v1/completions"))


def message_of(path, body):
    """What an error says, wherever its dialect has it."""
    error = body["error"]
    return error if path.startswith("/api/") else error["message"]


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    ("error", "status"), [(ContextError("too long"), 400), (BusyError("full", 7.2), 429), (DeadlineError("late"), 504)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_goes_wrong_before_the_first_byte_has_a_status(path, error, status, stream):
    class Failing(ScriptedAnswers):
        def _next(self, *_):
            raise error

    with serving(service_for(Failing(()))) as server:
        answer = server.post(path, **CALLS[path], stream=stream)
        assert answer.status_code == status
        assert message_of(path, answer.json()).endswith(str(error))
        assert answer.headers.get("retry-after") == ("8" if status == 429 else None)


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("error", [ContextError("too long"), ValueError("secret")])
def test_what_goes_wrong_later_is_told_in_the_stream(path, error):
    with serving(service_for(ScriptedAnswers((TextDelta("Hel"), error)))) as server:
        streamed = server.post(path, **CALLS[path], stream=True)
        assert streamed.status_code == 200
        found = events(path, streamed.text)
        last = found[-1]["response"] if path == "/v1/responses" else found[-1]
        said = message_of(path, last)
        assert said.endswith(str(error)) == isinstance(error, ContextError)
        assert "secret" not in streamed.text
        if path == "/v1/messages":
            assert found[-1]["type"] == "error"
        assert eventually(lambda: server.service.models.loaded[0].users == 0)
        assert any("ValueError: secret" in line for line in server.lines.text) == isinstance(error, ValueError)


@pytest.mark.parametrize("path", CALLS)
def test_a_bug_is_a_500_that_tells_nothing_but_its_number(path):
    with serving(service_for(ScriptedAnswers((ValueError("secret"),)))) as server:
        answer = server.post(path, **CALLS[path], stream=False)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        number = answer.headers["x-request-id"]
        assert eventually(lambda: any(number in line and "ValueError: secret" in line for line in server.lines.text))


@pytest.mark.parametrize("path", [*CALLS, "/v1/messages/count_tokens", "/api/show", "/tokenize", "/detokenize"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 1}', b'{"a":' * 100 + b"1" + b"}" * 100, b"\xff\xfe"])
def test_what_makes_no_sense_is_a_400(server, path, body):
    answer = server.client.post(path, content=body)
    assert answer.status_code == 400
    assert message_of(path, answer.json())


@pytest.mark.parametrize("path", CALLS)
def test_an_unknown_model_is_a_404_in_the_words_of_the_dialect(server, path):
    answer = server.post(path, **{**CALLS[path], "model": "../../etc/passwd"})
    assert answer.status_code == 404
    assert "../../etc/passwd" in message_of(path, answer.json())


def test_paths_and_methods_that_are_not_there(server):
    for path in ("/nowhere", "/v1/nowhere", "/api/nowhere", "/v1/messages/nowhere", "/docs", "/redoc", "/"):
        answer = server.client.get(path)
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]
    assert server.client.get("/v1/chat/completions").status_code == 405
    assert server.client.get("/v1/chat/completions").headers["allow"] == "POST"
    assert server.client.head("/").status_code == 200


def test_models_are_listed_in_the_words_of_whoever_asks(server):
    openai = server.client.get("/v1/models").json()
    assert [model["id"] for model in openai["data"]] == ["scripted"]
    anthropic = server.client.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert (anthropic["data"][0]["type"], anthropic["first_id"]) == ("model", "scripted")
    assert server.client.get("/v1/models/scripted").json()["object"] == "model"
    assert server.client.get("/v1/models/none").status_code == 404
    assert [model["name"] for model in server.client.get("/api/tags").json()["models"]] == ["scripted"]
    assert server.post("/api/show", model="scripted").json()["license"] == "MIT"
    assert server.client.get("/api/version").json()["version"]


def test_several_answers_and_several_prompts_are_numbered_through(server, llm):
    body = server.post("/v1/completions", prompt=["one", "two"], n=2).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert len(llm.requests) == 2
    streamed = server.post("/v1/chat/completions", messages=MESSAGES, n=2, stream=True).text
    assert {e["choices"][0]["index"] for e in events("/v1/chat/completions", streamed)} == {0, 1}


def test_an_anthropic_version_that_nobody_knows_is_refused(server):
    for version, status in (("2023-06-01", 200), ("2026-10-21", 200), ("1999-01-01", 400)):
        answer = server.client.post("/v1/messages", json=CALLS["/v1/messages"], headers={"anthropic-version": version})
        assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_tokens_are_counted_and_translated_both_ways(server, llm):
    counted = server.post("/v1/messages/count_tokens", messages=MESSAGES).json()["input_tokens"]
    ids = server.post("/tokenize", messages=MESSAGES).json()["tokens"]
    assert counted == len(ids) > len("Hello?")
    assert server.post("/tokenize", content="Hé").json()["tokens"] == list("Hé".encode())
    assert server.post("/detokenize", tokens=list("Hé".encode())).json()["content"] == "Hé"
    assert server.post("/detokenize", tokens=[10_000]).status_code == 400
    info = server.client.get("/tokenizer_info").json()
    assert "<|im_start|>" in info["chat_template"] and info["model_max_length"] == 4096
    assert server.post("/tokenize", prompt=info["eos_token"]).json()["tokens"] == [llm.tokenizer.eos]
    assert server.post("/tokenize", prompt=info["eos_token"], parse_special=False).json()["count"] > 1
    assert server.client.get("/tokenizer_info", params={"model": "none"}).status_code == 404


def test_texts_become_vectors(server, llm):
    body = server.post("/v1/embeddings", input=["one", "two"], model="scripted").json()
    assert [each["embedding"] for each in body["data"]] == [[0.6, 0.8]] * 2
    assert (body["model"], body["usage"]["total_tokens"]) == ("scripted", 6)
    assert server.post("/api/embed", input=["one"], model="scripted").json()["embeddings"] == [[0.6, 0.8]]
    assert server.post("/api/embeddings", prompt="one", model="scripted").json() == {"embedding": [0.6, 0.8]}
    assert llm.requests[1] == llm.requests[2]
    for path in ("/v1/embeddings", "/api/embed"):
        assert server.post(path, input="x", model="other").status_code == 404
        assert server.post(path, input=7, model="scripted").status_code == 400


def test_a_response_goes_on_from_the_one_before(server, llm):
    first = server.post("/v1/responses", input="One?").json()
    second = server.post("/v1/responses", input="Two?", previous_response_id=first["id"], stream=True)
    assert second.status_code == 200
    said = [(message.role, message.content) for message in llm.requests[-1].messages]
    assert said == [("user", "One?"), ("assistant", "Hello."), ("user", "Two?")]
    last = events("/v1/responses", second.text)[-1]["response"]["id"]
    assert server.post("/v1/responses", input="Three?", previous_response_id=last).status_code == 200
    assert len(llm.requests[-1].messages) == 5


def test_what_was_not_stored_or_is_forgotten_cannot_be_continued(server):
    unstored = server.post("/v1/responses", input="One?", store=False).json()["id"]
    stored = server.post("/v1/responses", input="One?").json()["id"]
    assert server.client.delete(f"/v1/responses/{stored}").json()["deleted"]
    for gone in (unstored, stored, "resp_none"):
        assert server.post("/v1/responses", input="Two?", previous_response_id=gone).status_code == 404
        assert server.client.delete(f"/v1/responses/{gone}").status_code == 404


def test_ollama_loads_shows_and_unloads_models(server):
    assert server.client.get("/api/ps").json() == {"models": []}
    assert server.post("/api/chat", model="scripted:latest", keep_alive=-1).json()["done_reason"] == "load"
    (found,) = server.client.get("/api/ps").json()["models"]
    assert (found["name"], found["expires_at"][:4]) == ("scripted", "9999")
    assert server.post("/api/generate", model="scripted", keep_alive=0).json()["done_reason"] == "unload"
    assert server.client.get("/api/ps").json() == {"models": []}


def test_without_a_library_no_files_are_touched(server):
    assert server.post("/api/pull", model="smollm2").status_code == 403
    assert server.post("/api/copy", source="scripted", destination="b").status_code == 403
    assert server.client.request("DELETE", "/api/delete", json={"model": "scripted"}).status_code == 403
    assert server.post("/api/create", model="x").status_code == 501


def test_the_description_says_what_every_route_takes(server):
    found = server.client.get("/openapi.json").json()
    posts = {path for path, methods in found["paths"].items() if "post" in methods}
    moves = {f"/v1/fine_tuning/jobs/{{id}}/{move}" for move in ("cancel", "pause", "resume")}
    assert {path for path in posts if "requestBody" not in found["paths"][path]["post"]} == {"/api/create", *moves}
    assert set(CALLS) <= posts


@pytest.mark.parametrize("path", CALLS)
def test_adapters_are_asked_for_in_the_body_and_in_the_name_of_the_model(server, llm, path):
    for body, expected in (
        ({}, {}),
        ({"adapters": {"pirate": 0.5}}, {"pirate": 0.5}),
        ({"model": "scripted+pirate+poet"}, {"pirate": 1.0, "poet": 1.0}),
        ({"model": "scripted+pirate", "adapters": {"pirate": 0.25}}, {"pirate": 0.25}),
    ):
        assert server.post(path, **{**CALLS[path], "stream": False, **body}).status_code == 200
        assert llm.requests[-1].adapters == expected
    refused = server.post(path, **{**CALLS[path], "adapters": {"pirate": 2.5}})
    assert refused.status_code == 400 and "adapters.pirate" in refused.text
    assert server.post(path, **{**CALLS[path], "model": "nobody+pirate"}).status_code == 404


def test_vectors_are_made_with_adapters(server, llm):
    for path, key in (("/v1/embeddings", "input"), ("/api/embed", "input"), ("/api/embeddings", "prompt")):
        assert (
            server.post(path, **{"model": "scripted+pirate", key: "Hello?", "adapters": {"poet": 2}}).status_code == 200
        )
        assert llm.requests[-1].adapters == {"pirate": 1.0, "poet": 2.0}
