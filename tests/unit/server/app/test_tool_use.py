"""Tools in the app: offered where they are allowed, called with consent, stopped with the answer, and kept."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from chat_page import ChatPage, until
from gadfly.chat.store import Store
from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.server import ToolServer
from gadfly.conversation import ChatRequest, Finished, Message, TextDelta, ToolCallDelta, ToolCallStart
from gadfly.server.gate import House
from gadfly.server.keys import new_key
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, service_for, serving
from unit.server.app.conftest import USAGE

RUDE = str(Path(__file__).parents[3] / "tool_servers" / "rude.py")


def calling(*names: str, arguments: str = "{}") -> tuple[Any, ...]:
    """A script that calls these tools."""
    events: list[Any] = []
    for index, name in enumerate(names):
        events += [ToolCallStart(index, f"c{index}", name), ToolCallDelta(index, arguments)]
    return (*events, Finished("tool_calls", USAGE))


SAID = (TextDelta("It says ouch."), Finished("stop", USAGE))


@pytest.fixture
def allowed(home: Path) -> Callable[..., None]:
    """Servers of these modes, which gadfly may use."""

    def allow(*modes: str) -> None:
        file = ToolFile(home)
        for mode in modes:
            file.add(ToolServer(mode, (sys.executable, RUDE, mode)))
        file.allow("gadfly", modes)

    return allow


@pytest.fixture
def begin(home: Path) -> Iterator[Callable[..., tuple[ChatPage, ScriptedAnswers]]]:
    """A page of a server behind which these scripts answer."""
    stack = ExitStack()

    def start(*scripts: tuple[Any, ...]) -> tuple[ChatPage, ScriptedAnswers]:
        llm = ScriptedAnswers(*scripts)
        app = chat_app_for(service_for(llm), home)
        page = ChatPage(stack.enter_context(serving(app.service, chat_app=app)).url)
        stack.enter_context(page.client)
        return page, llm

    with stack:
        yield start


def ask(page: ChatPage, chat: str, **answer: Any) -> int:
    """The number of the answer."""
    return page.post(f"/chats/{chat}/messages", text="Poke it.", answer=answer)["nodes"][1]["id"]


def said(page: ChatPage, chat: str) -> list[tuple[str, str, str]]:
    return [(node["role"], node["content"], node["state"]) for node in page.nodes(chat)]


def test_a_call_is_asked_for_made_and_answered(begin, allowed) -> None:
    allowed("polite")
    page, llm = begin(calling("polite__poke", arguments='{"how": "\\u001b[2Jhard"}'), SAID)
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        answer = ask(page, chat)
        heard = until(events, "consent")
        assert [name for name, _ in heard if name in ("finished", "consent")] == ["finished", "consent"]
        told = heard[-1][1]
        assert told["node"] == answer
        assert told["call"] == {
            "id": "c0",
            "server": "polite",
            "tool": "poke",
            "title": "poke",
            "arguments": {"how": "<U+001B>[2Jhard"},
            "description": "Poke it.",
        }
        assert page.get(f"/chats/{chat}")["chat"]["writing"] == [answer]
        with page.events(f"/chats/{chat}/events") as late:
            assert until(late, "consent")[-1][1] == told
        page.post(f"/chats/{chat}/answers/{answer}/consent", call="c0", allow="once")
        until(events, "finished")
    assert said(page, chat) == [
        ("user", "Poke it.", "complete"),
        ("assistant", "", "complete"),
        ("tool", "ouch", "complete"),
        ("assistant", "It says ouch.", "complete"),
    ]
    nodes = page.nodes(chat)
    assert [node["parent"] for node in nodes] == [None, *(node["id"] for node in nodes[:-1])]
    assert nodes[1]["tool_calls"] == [{"id": "c0", "name": "polite__poke", "arguments": '{"how": "\\u001b[2Jhard"}'}]
    assert nodes[2]["tool_call_id"] == "c0"
    assert page.get(f"/chats/{chat}")["chat"]["leaf"] == nodes[-1]["id"]
    first, second = llm.requests
    assert isinstance(first, ChatRequest) and isinstance(second, ChatRequest)
    assert [tool.name for tool in first.tools] == [tool.name for tool in second.tools] == ["polite__poke"]
    assert second.messages[-1] == Message("tool", "ouch", tool_call_id="c0", name="polite__poke")
    assert second.persona == "gadfly"


def test_what_was_said_later_goes_on_from_calls_and_results(begin, allowed) -> None:
    allowed("polite")
    page, llm = begin(calling("polite__poke"), SAID)
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        answer = ask(page, chat)
        until(events, "consent")
        page.post(f"/chats/{chat}/answers/{answer}/consent", call="c0", allow="once")
        until(events, "finished")
        last = page.nodes(chat)[-1]["id"]
        page.post(f"/chats/{chat}/messages", text="And?", parent=last)
        until(events, "finished")
    roles = [message.role for message in llm.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_consent_for_a_chat_lasts_there_and_nowhere_else(begin, allowed) -> None:
    allowed("polite")
    page, _ = begin(
        calling("polite__poke", "polite__poke"), SAID, calling("polite__poke"), SAID, calling("polite__poke"), SAID
    )
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        answer = ask(page, chat)
        until(events, "consent")
        page.post(f"/chats/{chat}/answers/{answer}/consent", call="c0", allow="chat")
        heard = until(events, "finished")
        assert [name for name, _ in heard if name in ("calling", "consent")] == ["calling", "calling"]
        page.post(f"/chats/{chat}/messages", text="Again.", parent=page.nodes(chat)[-1]["id"])
        until(events, "finished")
        heard = until(events, "finished")
        assert not any(name == "consent" for name, _ in heard)
    other = page.chat()
    with page.events(f"/chats/{other}/events") as events:
        ask(page, other)
        until(events, "consent")


def test_a_refusal_and_calls_that_make_no_sense_are_told_to_the_model(begin, allowed) -> None:
    allowed("polite")
    page, llm = begin(calling("polite__poke", "rm_rf"), SAID)
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        answer = ask(page, chat)
        until(events, "consent")
        page.post(f"/chats/{chat}/answers/{answer}/consent", call="c0", allow="no")
        until(events, "finished")
    results = [message.content for message in llm.requests[-1].messages if message.role == "tool"]
    assert results == ["not called: the user did not allow it", "not called: there is no tool 'rm_rf'"]


@pytest.mark.parametrize("at", ["consent", "calling"])
def test_stopping_ends_waiting_and_calling(begin, allowed, at: str) -> None:
    allowed("silent")
    page, llm = begin(calling("silent__poke"), SAID)
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        answer = ask(page, chat)
        until(events, "consent")
        if at == "calling":
            page.post(f"/chats/{chat}/answers/{answer}/consent", call="c0", allow="once")
            until(events, "calling")
        page.post(f"/chats/{chat}/answers/{answer}/stop")
    assert said(page, chat)[1:] == [
        ("assistant", "", "complete"),
        ("tool", "stopped before there was a result", "complete"),
    ]
    assert page.get(f"/chats/{chat}")["chat"]["writing"] == [] and len(llm.requests) == 1
    assert (
        page.client.post(f"/chats/{chat}/answers/{answer}/consent", json={"call": "c0", "allow": "no"}).status_code
        == 404
    )


def test_a_server_that_ends_ends_its_calls_and_keeps_what_there_is(home, allowed) -> None:
    allowed("silent")
    llm = ScriptedAnswers(calling("silent__poke"), SAID)
    app = chat_app_for(service_for(llm), home)
    with serving(app.service, chat_app=app) as running:
        page = ChatPage(running.url)
        with page.client:
            chat = page.chat()
            with page.events(f"/chats/{chat}/events") as events:
                answer = ask(page, chat)
                until(events, "consent")
                page.post(f"/chats/{chat}/answers/{answer}/consent", call="c0", allow="once")
                until(events, "calling")
    with closing(Store(home / "chats.sqlite")) as store:
        nodes = store.open("", chat).nodes
    assert [(node.message.role, node.state) for node in nodes] == [
        ("user", "complete"),
        ("assistant", "complete"),
        ("tool", "complete"),
    ]
    assert nodes[-1].message.content == "stopped before there was a result"


def test_a_chat_can_be_deleted_while_a_call_waits(begin, allowed) -> None:
    allowed("polite")
    page, _ = begin(calling("polite__poke"), SAID)
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        ask(page, chat)
        until(events, "consent")
        page.delete(f"/chats/{chat}", forever=True)
    assert page.client.get(f"/chats/{chat}").status_code == 404


def test_servers_that_fail_are_told_and_the_others_offered(begin, allowed) -> None:
    allowed("polite", "ancient")
    page, llm = begin(SAID)
    chat = page.chat()
    with page.events(f"/chats/{chat}/events") as events:
        answer = ask(page, chat)
        told = until(events, "tools")[-1][1]
        assert told["node"] == answer and "1999-12-31" in told["problems"][0]
        until(events, "finished")
    assert [tool.name for tool in llm.requests[0].tools] == ["polite__poke"]
    listed = page.get(f"/chats/{chat}/tools")
    assert [one["tool"] for one in listed["offered"]] == ["poke"] and len(listed["problems"]) == 1


def test_without_allowance_or_wish_nothing_is_offered(begin, allowed) -> None:
    page, llm = begin(SAID)
    chat = page.chat()
    for tools in (None, False):
        with page.events(f"/chats/{chat}/events") as events:
            ask(page, chat, tools=tools)
            until(events, "finished")
    refused = page.client.post(f"/chats/{chat}/messages", json={"text": "?", "answer": {"tools": True}})
    assert refused.status_code == 400 and "gadfly tools allow" in refused.text
    allowed("polite")
    with page.events(f"/chats/{chat}/events") as events:
        ask(page, chat, tools=False)
        until(events, "finished")
        ask(page, chat, tools=True)
        until(events, "finished")
    assert [len(request.tools) for request in llm.requests] == [0, 0, 0, 1]


def test_servers_are_listed_added_allowed_and_removed_but_never_programs(begin, allowed) -> None:
    allowed("polite")
    page, _ = begin(SAID)
    told = page.put("/tools/web", searxng="http://localhost:8888")
    assert [(one["name"], one["kind"]) for one in told["servers"]] == [("polite", "command"), ("web", "searxng")]
    assert told["personas"] == {"gadfly": ["polite"]} and told["may_change"]
    page.put("/tools/far", url="https://example.org/mcp", headers={"Authorization": "Bearer hush"})
    assert "hush" not in page.client.get("/tools").text
    assert page.put("/tools/personas/gadfly", allowed=["web/search", "polite"])["personas"]["gadfly"] == [
        "web/search",
        "polite",
    ]
    assert [one["name"] for one in page.get("/tools/polite")["tools"]] == ["poke"]
    for path, given in (
        ("/tools/evil", {"command": ["sh"]}),
        ("/tools/evil", {"url": "file:///etc/passwd"}),
        ("/tools/Evil!", {"url": "http://a"}),
        ("/tools/personas/gadfly", {"allowed": ["x" * 300]}),
    ):
        assert page.client.put(path, json=given).status_code == 400, path
    assert page.client.put("/tools/personas/nobody", json={"allowed": []}).status_code == 404
    assert page.client.put("/tools/personas/gadfly", json={"allowed": ["gone"]}).status_code == 404
    assert page.client.get("/tools/gone").status_code == 404
    assert [one["name"] for one in page.delete("/tools/far")["servers"]] == ["polite", "web"]


def test_keys_need_the_scope_and_change_nothing(home, allowed) -> None:
    allowed("polite")
    guest, guest_text = new_key("guest", ("chat",))
    owner, owner_text = new_key("owner", ("chat", "tools"))
    llm = ScriptedAnswers(SAID)
    house = House(keys=lambda: (guest, owner), closed=True)
    app = chat_app_for(service_for(llm), home, keys=house.keys, closed=True)
    with serving(app.service, house, app) as running, ExitStack() as stack:
        for text, offered in ((guest_text, 0), (owner_text, 1)):
            page = ChatPage(running.url, authorization=f"Bearer {text}")
            stack.enter_context(page.client)
            chat = page.chat()
            with page.events(f"/chats/{chat}/events") as events:
                ask(page, chat)
                until(events, "finished")
            assert len(llm.requests[-1].tools) == offered
            assert len(page.get(f"/chats/{chat}/tools")["offered"]) == offered
            told = page.get("/tools")
            assert not told["may_change"] and told["servers"][0]["place"] == ""
            assert page.client.put("/tools/web", json={"searxng": "http://a"}).status_code == 403
            assert page.client.delete("/tools/polite").status_code == 403
            assert page.client.get("/tools/polite").status_code == (200 if offered else 403)
