"""The list of chats: order, filters, search, the bin, and forks; told to every page that looks."""

import pytest

from chat_page import until
from gadfly.chat.store import Store
from gadfly.conversation import Message
from serving import eventually


def test_a_chat_is_made_named_filed_and_found(page):
    first, second = page.chat(), page.chat(title="Bees", folder="Garden", tags=["honey", "sting"])
    listed = page.get("/chats")
    assert [one["id"] for one in listed["chats"]] == [second, first]
    assert (listed["folders"], listed["tags"], listed["next"]) == (["Garden"], ["honey", "sting"], None)
    changed = page.patch(f"/chats/{first}", pinned=True, persona="straight", wit=0.9, draft="Not sent", system=None)
    assert changed["chat"]["persona"] == "straight"
    assert [one["id"] for one in page.get("/chats")["chats"]] == [first, second]
    assert [one["id"] for one in page.get("/chats", folder="Garden")["chats"]] == [second]
    assert [one["id"] for one in page.get("/chats", tag="sting")["chats"]] == [second]
    assert page.patch(f"/chats/{first}", persona=None)["chat"]["persona"] is None
    page.patch(f"/chats/{second}", archived=True)
    assert [one["id"] for one in page.get("/chats", state="archived")["chats"]] == [second]
    one = page.get("/chats", limit=1)
    assert [chat["id"] for chat in one["chats"]] == [first]


def test_pages_of_the_list(page):
    made = [page.chat() for _ in range(5)]
    found, cursor = [], None
    while True:
        got = page.get("/chats", limit=2, **({"cursor": cursor} if cursor else {}))
        found += [one["id"] for one in got["chats"]]
        cursor = got["next"]
        if cursor is None:
            break
    assert found == made[::-1]


def test_what_was_said_is_found_and_named_after(page):
    chat = page.chat()
    page.post(f"/chats/{chat}/messages", text="Tell me about zugzwang, please", answer=None)
    (hit,) = page.get("/chats", query="zugz")["chats"]
    assert (hit["id"], hit["title"]) == (chat, "Tell me about zugzwang, please")
    assert any(marked and "zugzwang" in text for text, marked in hit["snippet"])
    assert page.get("/chats", query="bee")["chats"] == []


def test_the_bin(page):
    chat = page.chat()
    assert page.delete(f"/chats/{chat}")["chat"]["deleted"]
    assert page.get("/chats")["chats"] == []
    assert [one["id"] for one in page.get("/chats", state="deleted")["chats"]] == [chat]
    assert page.post(f"/chats/{chat}/restore")["chat"]["deleted"] is None
    page.delete(f"/chats/{chat}", forever=True)
    assert page.client.get(f"/chats/{chat}").status_code == 404


def test_an_edit_is_a_branch_and_a_fork_a_chat_of_its_own(page):
    chat = page.chat(title="Talk")
    for text in ("One?", "Two?"):
        page.post(f"/chats/{chat}/messages", text=text)
    assert eventually(lambda: {one["state"] for one in page.nodes(chat)} == {"complete"})
    roots = [one for one in page.nodes(chat) if one["parent"] is None]
    assert [one["content"] for one in roots] == ["One?", "Two?"]
    assert page.get(f"/chats/{chat}")["chat"]["leaf"] == 4
    assert page.patch(f"/chats/{chat}", leaf=2)["chat"]["leaf"] == 2
    copy = page.post(f"/chats/{chat}/fork", node=2)["chat"]
    assert copy["title"] == "Talk"
    assert [one["content"] for one in page.nodes(copy["id"])] == ["One?", "Hello 🦟."]


def test_an_answer_of_the_readers_own_stands_beside_the_models(page, llm):
    chat = page.chat()
    page.post(f"/chats/{chat}/messages", text="Hi?", answer=None)
    (own,) = page.post(f"/chats/{chat}/messages", text="Ho.", role="assistant", parent=1)["nodes"]
    assert (own["role"], own["model"], own["state"]) == ("assistant", None, "complete")
    page.post(f"/chats/{chat}/messages", text="What?", parent=own["id"])
    assert eventually(lambda: llm.requests)
    assert [(one.role, one.content) for one in llm.requests[-1].messages] == [
        ("user", "Hi?"),
        ("assistant", "Ho."),
        ("user", "What?"),
    ]


def test_every_page_hears_of_it(page):
    with page.events("/events") as events:
        assert next(events) == ("hello", {})
        chat = page.chat()
        assert until(events, "chats")
        page.patch(f"/chats/{chat}", title="New")
        assert until(events, "chat")[-1][1] == {"id": chat}
        with page.events(f"/chats/{chat}/events") as inner:
            page.patch(f"/chats/{chat}", title="Newer")
            assert until(inner, "chat")[-1][1]["chat"]["title"] == "Newer"


def test_pages_hear_of_what_is_said_in_a_terminal(page, home):
    terminal = Store(home / "chats.sqlite")
    chat = page.chat()
    with page.events("/events") as events, page.events(f"/chats/{chat}/events") as inner:
        next(events)
        terminal.say("", chat, None, Message("user", "From elsewhere."))
        assert until(events, "chats")
        assert until(inner, "chat")[-1][1]["chat"]["messages"] == 1
    terminal.close()


def test_what_is_too_large_is_refused_in_words(page):
    answer = page.client.post("/chats", content=b'{"title": "' + b"x" * (9 << 20) + b'"}')
    assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        {"wit": 2},
        {"wit": "x"},
        {"title": 3},
        {"title": "x" * 301},
        {"tags": "x"},
        {"tags": [""]},
        {"sampling": []},
    ],
)
def test_what_makes_no_sense_is_refused(page, body):
    answer = page.client.post("/chats", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["kind"] == "invalid"
    assert page.client.post("/chats", content=b'{"draft": "\\ud800"}').status_code == 400
    assert page.client.get("/chats?state=lost").status_code == 400
    assert page.client.get("/chats?cursor=x").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": " "},
        {"text": "x", "parent": 99},
        {"text": "x", "attachments": ["none"]},
        {"text": "x", "answer": 1},
    ],
)
def test_what_cannot_be_said_leaves_nothing(page, body):
    chat = page.chat()
    assert page.client.post(f"/chats/{chat}/messages", json=body).status_code in (400, 404)
    assert page.client.post(f"/chats/{chat}/messages", json={"text": "x", "answer": {"model": "no"}}).status_code == 404
    assert page.nodes(chat) == []
