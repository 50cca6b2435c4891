"""What surrounds all routes: ids, the log, health, counts, pages of others, keys, and an orderly end."""

import logging
import re
import threading

import pytest

from gadfly.completion import Usage
from gadfly.conversation import Finished, TextDelta
from gadfly.errors import ModelFileError
from gadfly.server.gate import House
from gadfly.server.keys import new_key
from gadfly.server.limits import Limits
from gadfly.server.models import Models
from gadfly.server.run import listen, run_server
from gadfly.server.service import Service
from gadfly.testing import ScriptedAnswers
from serving import Shelf, chat_app_for, eventually, service_for, serving

MESSAGES = [{"role": "user", "content": "A secret question."}]
CHAT = "/v1/chat/completions"


def test_a_request_keeps_the_id_that_its_client_gave_it(server):
    assert server.client.get("/health/live", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for strange in ("", "a b", "x" * 200, "<script>"):
        given = server.client.get("/health/live", headers={"x-request-id": strange}).headers["x-request-id"]
        assert re.fullmatch(r"req_[0-9a-f]{24}", given)


def test_memory_is_given_back_once_when_nothing_goes_on(llm, monkeypatch):
    monkeypatch.setattr("gadfly.server.application._SWEEP", 0.01)
    given = []
    monkeypatch.setattr("gadfly.server.application.give_back", lambda: given.append(service.models.idle))
    service = service_for(llm)
    with serving(service) as server:
        assert eventually(lambda: given == [True])
        llm.hold()
        with server.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}):
            assert eventually(lambda: llm.choices)
            assert not service.models.idle
            threading.Event().wait(0.1)
            assert given == [True]
        assert eventually(lambda: len(given) == 2)
        threading.Event().wait(0.1)
        assert given == [True, True]


def test_looks_go_on_after_one_that_failed(llm, tmp_path, monkeypatch):
    looks = []

    async def look_around():
        looks.append("look")
        raise RuntimeError("rain")

    monkeypatch.setattr("gadfly.server.application._SWEEP", 0.01)
    app = chat_app_for(service_for(llm), tmp_path)
    monkeypatch.setattr(app, "look_around", look_around)
    with serving(app.service, chat_app=app) as server:
        assert eventually(lambda: len(looks) > 1)
    assert "looking around failed: rain" in server.lines.text[0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_one_line_without_what_was_said(server, stream):
    answer = server.post(CHAT, messages=MESSAGES, stream=stream)
    assert eventually(lambda: server.lines.text)
    (line,) = server.lines.text
    number = answer.headers["x-request-id"]
    pattern = rf"\S+Z 127\.0\.0\.1 - POST {CHAT} 200 \d+\.\d+s scripted 7\+2 {number}"
    assert re.fullmatch(pattern, line)
    assert "secret" not in line


def test_what_a_path_contains_cannot_forge_lines(server):
    server.client.get("/nowhere%0a2026%20forged?question=secret%20text")
    assert eventually(lambda: server.lines.text)
    assert len(server.lines.text) == 1
    assert "/nowhere?2026?forged 404" in server.lines.text[0]
    assert "secret" not in server.lines.text[0]


def test_a_server_is_ready_when_its_models_are():
    loading = threading.Event()

    def load():
        loading.wait(30)
        return ScriptedAnswers(())

    service = Service(Models(Shelf({"slow": load}), ["slow"]), Limits(grace=1.0), default_model="slow")
    with serving(service) as server:
        assert server.client.get("/health/live").status_code == 200
        assert server.client.get("/health/ready").status_code == 503
        asking = threading.Thread(target=lambda: server.post("/tokenize", content="x"))
        asking.start()
        assert eventually(lambda: server.client.get("/health/ready").json()["loading"])
        waiting = server.client.get("/health/ready")
        assert waiting.json()["loading"] == [{"model": "slow", "state": "loading", "done": 0.5}]
        assert waiting.headers["retry-after"]
        loading.set()
        asking.join(30)
        assert server.client.get("/health/ready").json() == {"status": "ready", "loaded": ["slow"], "loading": []}


def test_requests_and_engines_are_counted(server):
    server.post(CHAT, messages=MESSAGES)
    server.client.get("/nowhere/at/all")
    found = server.client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    assert f'gadfly_requests_total{{method="POST",route="{CHAT}",status="200"}} 1.0' in found.text
    assert 'route="elsewhere",status="404"} 1.0' in found.text
    assert "at/all" not in found.text
    assert 'gadfly_requests_running{model="scripted"} 0.0' in found.text


def test_two_servers_in_one_process_do_not_add_up(llm):
    with serving(service_for(llm)) as one, serving(service_for(ScriptedAnswers(()))) as other:
        one.client.get("/v1/models")
        assert '"/v1/models"' in one.client.get("/metrics").text
        assert '"/v1/models"' not in other.client.get("/metrics").text


def test_pages_that_are_welcome_may_read_answers_and_others_may_not_ask(llm):
    house = House(origins=frozenset({"https://page.example"}))
    with serving(service_for(llm), house) as server:
        ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        welcome, foreign = {"origin": "https://page.example"}, {"origin": "https://evil.example"}
        preflight = server.client.options(CHAT, headers={**welcome, **ask})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://page.example"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = server.client.post(CHAT, json={"messages": MESSAGES}, headers=welcome)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        refused = server.client.options(CHAT, headers={**foreign, **ask})
        assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
        assert server.client.post(CHAT, json={"messages": MESSAGES}, headers=foreign).status_code == 403
        assert server.client.get("/v1/models", headers={"host": "evil.example"}).status_code == 403
        assert len(llm.requests) == 1


def test_a_key_is_asked_for_named_in_the_log_and_has_its_turn(llm):
    key, text = new_key("anna", ["chat"], 3)
    with serving(service_for(llm), House(closed=True, keys=lambda: (key,))) as server:
        refused = server.post(CHAT, messages=MESSAGES)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        anthropic = server.client.post("/v1/messages", json={})
        assert anthropic.json()["error"]["type"] == "authentication_error"
        for headers in ({"authorization": f"Bearer {text}"}, {"x-api-key": text}):
            assert server.client.post(CHAT, json={"messages": MESSAGES}, headers=headers).status_code == 200
        assert server.client.get("/metrics", headers={"x-api-key": text}).status_code == 403
        assert server.client.get("/health/live").status_code == 200
        assert server.client.get("/v1/models", headers={"x-api-key": text}).status_code == 200
        late = server.client.get("/v1/models", headers={"x-api-key": text})
        assert late.status_code == 429
        assert 1 <= int(late.headers["retry-after"]) <= 20
        assert [terms["client"] for terms in llm.terms] == ["anna", "anna"]
        assert sum(" anna " in line for line in server.lines.text) >= 3
        assert not any(text in line for line in server.lines.text)


def test_nobody_continues_the_conversation_of_another(llm):
    keys = [new_key(name) for name in ("anna", "ben")]
    with serving(service_for(llm), House(keys=lambda: tuple(key for key, _ in keys))) as server:
        anna, ben = ({"x-api-key": text} for _, text in keys)
        said = server.client.post("/v1/responses", json={"input": "One?"}, headers=anna).json()["id"]
        more = {"input": "Two?", "previous_response_id": said}
        assert server.client.post("/v1/responses", json=more, headers=ben).status_code == 404
        assert server.client.post("/v1/responses", json=more, headers=anna).status_code == 200


def test_a_server_whose_model_cannot_be_loaded_ends_and_says_why():
    service = Service(Models(Shelf({"bad": ModelFileError("bad is damaged")}), ["bad"]), Limits(grace=1.0))
    with listen("127.0.0.1", 0) as listening, pytest.raises(ModelFileError, match="bad is damaged"):
        run_server(service, House(), listening)


def test_what_is_under_way_is_finished_before_the_end():
    llm = ScriptedAnswers((TextDelta("Hello."), Finished("stop", Usage(1, 0, 1, 0.0, 0.0))))
    llm.hold()
    with serving(service_for(llm, limits=Limits(grace=20.0))) as server:
        with server.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}) as streamed:
            end = threading.Thread(target=server.end)
            end.start()
            assert eventually(lambda: not server.takes_connections())
            llm.release()
            assert "Hello." in streamed.read().decode()
        end.join(30)
        assert not end.is_alive()


def test_what_does_not_finish_in_time_is_ended(caplog):
    llm = ScriptedAnswers(())
    llm.hold()
    with serving(service_for(llm, limits=Limits(grace=0.05))) as server:
        with server.client.stream("POST", CHAT, json={"messages": MESSAGES, "stream": True}):
            server.end()
        assert llm.choices[0].cancelled
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
