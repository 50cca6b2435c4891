"""Answers are the server's work: they go on without a page, stop when told, and survive what a server can survive."""

import pytest

from chat_page import ChatPage, text_of, until
from gadfly.chat.store import Store
from gadfly.errors import CapacityError
from gadfly.server.limits import Limits
from gadfly.testing import ScriptedAnswers
from gadfly.testing.answers import ScriptedChoice
from serving import chat_app_for, eventually, service_for, serving
from unit.server.app.conftest import ANSWER, HELLO


def ask(page, chat, text="Hi?", **body):
    return page.post(f"/chats/{chat}/messages", text=text, **body)["nodes"]


def state(page, chat, node):
    return next(one for one in page.nodes(chat) if one["id"] == node)["state"]


def test_an_answer_is_written_kept_and_told(page):
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        assert next(events) == ("snapshot", {"nodes": []})
        asked, answer = ask(page, chat)
        heard = until(events, "finished")
        assert [data["node"]["id"] for name, data in heard if name == "node"] == [asked["id"], answer["id"]]
        assert text_of(heard) == ANSWER
        node = heard[-1][1]["node"]
        assert (node["content"], node["reasoning"], node["state"], node["finish"]) == (
            ANSWER,
            "Hm.",
            "complete",
            "stop",
        )
        assert until(events, "chat")[-1][1]["chat"]["leaf"] == answer["id"]
    kept = page.nodes(chat)
    assert [one["role"] for one in kept] == ["user", "assistant"]
    assert kept[1] == node
    assert node["usage"]["completion_tokens"] == 2
    assert (node["model"], node["licence"], node["persona"], node["wit"]) == ("scripted", "MIT", "gadfly", 0.5)
    assert isinstance(node["seed"], int)


def test_a_page_that_comes_later_or_again_gets_what_there_is_and_then_the_rest(page, llm):
    chat = page.chat()
    llm.hold()
    _, answer = ask(page, chat)
    with page.events(f"/chats/{chat}/events") as first, page.events(f"/chats/{chat}/events") as second:
        for events in (first, second):
            (name, data) = next(events)
            assert name == "snapshot"
            assert [(one["id"], one["state"]) for one in data["nodes"]] == [(answer["id"], "writing")]
        llm.release()
        for events in (first, second):
            assert text_of(until(events, "finished")) == ANSWER


def test_an_answer_goes_on_when_the_page_leaves(page, llm):
    chat = page.chat()
    llm.hold()
    with page.events(f"/chats/{chat}/events") as events:
        next(events)
        _, answer = ask(page, chat)
    assert state(page, chat, answer["id"]) == "writing"
    llm.release()
    assert eventually(lambda: state(page, chat, answer["id"]) == "complete")


def test_an_answer_can_be_stopped_and_continued(page, llm):
    chat = page.chat()
    llm.hold()
    _, answer = ask(page, chat)
    assert page.get("/chats")["chats"][0]["writing"] == [answer["id"]]
    stopped = page.post(f"/chats/{chat}/answers/{answer['id']}/stop")["node"]
    assert stopped["state"] == "stopped"
    assert page.post(f"/chats/{chat}/answers/{answer['id']}/stop")["node"] == stopped
    llm.release()
    page.post(f"/chats/{chat}/answers/{answer['id']}/continue")
    assert eventually(lambda: state(page, chat, answer["id"]) == "complete")
    page.post(f"/chats/{chat}/answers/{answer['id']}/continue")
    twice = (ANSWER * 2, "complete")
    assert eventually(lambda: (page.nodes(chat)[1]["content"], page.nodes(chat)[1]["state"]) == twice)
    assert llm.requests[-1].prefix == ANSWER
    assert page.nodes(chat)[1]["build"]["continued"] == [0, len(ANSWER)]


def test_several_answers_to_one_question_are_written_beside_each_other(page, llm):
    chat = page.chat()
    asked, first = ask(page, chat)
    assert eventually(lambda: state(page, chat, first["id"]) == "complete")
    llm.hold()
    variants = [{"wit": 0.0}, {"wit": 1.0, "seed": 7, "sampling": {"temperature": 0.5}}]
    nodes = page.post(f"/chats/{chat}/answers", parent=asked["id"], variants=variants, prefix="He")["nodes"]
    begun = [(asked["id"], 0.0, "He"), (asked["id"], 1.0, "He")]
    assert [(one["parent"], one["wit"], one["content"]) for one in nodes] == begun
    llm.release()
    assert eventually(lambda: {one["state"] for one in page.nodes(chat)} == {"complete"})
    assert [one["content"] for one in page.nodes(chat)[2:]] == [f"He{ANSWER}"] * 2
    request = llm.requests[-1]
    assert (request.wit, request.sampling.seed, request.sampling.temperature, request.prefix) == (1.0, 7, 0.5, "He")
    assert first["wit"] == 0.5


@pytest.mark.parametrize("error", [CapacityError("no memory is left"), RuntimeError("a secret of ours")])
def test_what_goes_wrong_is_told_and_what_there_was_is_kept(home, error):
    llm = ScriptedAnswers((HELLO[1], error))
    app = chat_app_for(service_for(llm), home)
    with serving(app.service, chat_app=app) as server:
        page = ChatPage(server.url)
        chat = page.chat()
        ask(page, chat)
        assert eventually(lambda: page.nodes(chat)[1]["state"] == "failed")
        node = page.nodes(chat)[1]
        assert node["content"] == "Hel"
        assert ("no memory" in node["error"]) == isinstance(error, CapacityError)
        assert "secret" not in node["error"]
        page.client.close()


def test_an_orderly_end_keeps_what_there_is_and_lets_pages_go(home):
    llm = ScriptedAnswers(HELLO)
    app = chat_app_for(service_for(llm), home)
    with serving(app.service, chat_app=app) as server:
        page = ChatPage(server.url)
        chat = page.chat()
        llm.hold()
        with page.events(f"/chats/{chat}/events") as events:
            ask(page, chat)
            server.end()
            assert [data["node"]["state"] for name, data in events if name == "finished"] == ["interrupted"]
        page.client.close()
    store = Store(home / "chats.sqlite")
    assert [node.state for node in store.open("", chat).nodes] == ["complete", "interrupted"]
    store.close()


def test_a_chat_that_is_deleted_takes_its_answer_along(page, llm, app):
    chat = page.chat()
    llm.hold()
    ask(page, chat)
    page.delete(f"/chats/{chat}", forever=True)
    assert page.client.get(f"/chats/{chat}").status_code == 404
    assert not app.jobs.busy


def test_nobody_has_all_answers_written_at_once(page, llm):
    chat = page.chat()
    llm.hold()
    for _ in range(16):
        ask(page, chat)
    refused = page.client.post(f"/chats/{chat}/messages", json={"text": "One more?"})
    assert refused.status_code == 429
    assert refused.json()["error"]["kind"] == "too_many"
    assert len(page.nodes(chat)) == 32
    llm.release()


def test_an_end_does_not_wait_for_ever_for_a_model_that_cannot_be_stopped(home, monkeypatch):
    monkeypatch.setattr(ScriptedChoice, "cancel", lambda _: None)
    llm = ScriptedAnswers(HELLO)
    app = chat_app_for(service_for(llm, limits=Limits(grace=0.1)), home)
    with serving(app.service, chat_app=app) as server:
        page = ChatPage(server.url)
        chat = page.chat()
        llm.hold()
        ask(page, chat)
        assert eventually(lambda: app.jobs.of("", chat)[0].choices)
        server.end()
        assert "1 answers did not end in 0.1 seconds; the server does not wait for them" in server.lines.text
        page.client.close()
    store = Store(home / "chats.sqlite")
    assert [node.state for node in store.open("", chat).nodes] == ["complete", "interrupted"]
    store.close()
