"""What fits, a name, the next question: told honestly, and only by a model that has nothing better to do."""

import pytest

from chat_page import ChatPage
from gadfly.completion import Usage
from gadfly.conversation import Finished, TextDelta
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, eventually, service_for, serving

END = Finished("stop", Usage(7, 3, 2, 0.25, 0.5))


def said(text):
    return (TextDelta(text), END)


@pytest.fixture
def scripted(home):
    """A page before a model that says these things one after another."""

    def make(*texts, **options):
        llm = ScriptedAnswers(*map(said, texts), **options)
        app = chat_app_for(service_for(llm), home)
        running = serving(app.service, chat_app=app)
        open_servers.append(running)
        page = ChatPage(running.__enter__().url)
        pages.append(page)
        return page, llm

    open_servers, pages = [], []
    yield make
    for page in pages:
        page.client.close()
    for running in open_servers:
        running.__exit__(None, None, None)


def talked(page, text="Tell me of Socrates."):
    chat = page.chat()
    page.post(f"/chats/{chat}/messages", text=text)
    assert eventually(lambda: page.nodes(chat)[1]["state"] == "complete")
    return chat


@pytest.mark.parametrize(
    ("written", "title", "by"),
    [
        ('"Socrates, the gadfly"\n', "Socrates, the gadfly", "model"),
        ("Title: The death of Socrates.", "The death of Socrates", "model"),
        ("A story about something else", "Tell me of Socrates.", "words"),
        ("Socrates " * 20, "Tell me of Socrates.", "words"),
        ("", "Tell me of Socrates.", "words"),
    ],
)
def test_a_chat_is_named_by_the_model_or_else_by_its_first_words(scripted, written, title, by):
    page, _ = scripted("He asked questions.", written)
    chat = talked(page)
    assert page.post(f"/chats/{chat}/title") == {"title": title, "by": by}
    assert page.get(f"/chats/{chat}")["chat"]["title"] == title


def test_questions_that_have_to_do_with_it_are_suggested(scripted):
    written = "1. Who was Socrates' teacher?\n2. What is the news?\n3. Who was Socrates' teacher?"
    page, llm = scripted("He asked questions.", written)
    chat = talked(page)
    assert page.post(f"/chats/{chat}/suggestions") == {"suggestions": ["Who was Socrates' teacher?"]}
    assert llm.requests[-1].format is not None


def test_answers_go_before(scripted):
    page, llm = scripted("He asked questions.")
    chat = talked(page)
    llm.hold()
    page.post(f"/chats/{chat}/messages", text="And then?", parent=2)
    count = len(llm.requests)
    assert page.post(f"/chats/{chat}/suggestions") == {"suggestions": []}
    assert page.post(f"/chats/{chat}/title")["by"] == "words"
    assert len(llm.requests) <= count + 1  # only what was asked before
    llm.release()


def test_what_fits_is_told(scripted):
    page, _ = scripted("Yes.", context=600)
    chat = page.chat(persona="straight")
    unloaded = page.post(f"/chats/{chat}/measure", text="Hello?")
    assert (unloaded["tokens"], unloaded["loaded"]) == (None, False)
    talked(page)
    small = page.post(f"/chats/{chat}/measure", text="Hello?", terms={"max_tokens": 100})
    assert small["fits"] and small["dropped"] == 0
    assert (small["context"], small["room"]) == (600, 500)
    longer = page.post(f"/chats/{chat}/measure", text="Hello?" + "!" * 50)
    assert longer["tokens"] == small["tokens"] + 50
    huge = page.post(f"/chats/{chat}/measure", text="x" * 700)
    assert not huge["fits"] and huge["tokens"] > 700
    chat = page.chat(system="")
    last = None
    for _ in range(3):
        last = page.post(f"/chats/{chat}/messages", text="y" * 150, parent=last)["nodes"][-1]["id"]
        assert eventually(lambda: {one["state"] for one in page.nodes(chat)} == {"complete"})
    overflowing = page.post(f"/chats/{chat}/measure", text="z" * 150, parent=last)
    assert overflowing["fits"] and overflowing["dropped"] in (2, 4)
    assert overflowing["shown"] <= overflowing["room"] < overflowing["tokens"]


def test_files_are_read_and_shown_to_the_model(scripted):
    page, llm = scripted("Yes.")
    chat = page.chat()
    sent = page.client.post("/attachments", params={"name": "n\notes.txt"}, content=b"Bees\r\nsting.").json()
    assert (sent["name"], sent["type"], sent["characters"]) == ("notes.txt", "text/plain", 11)
    asked = page.post(f"/chats/{chat}/messages", text="Why?", attachments=[sent["hash"]])["nodes"][0]
    assert [one["name"] for one in asked["attachments"]] == ["notes.txt"]
    assert eventually(lambda: page.nodes(chat)[1]["state"] == "complete")
    assert llm.requests[-1].messages[-1].content == "notes.txt:\n```\nBees\nsting.\n```\n\nWhy?"
    for data in (b"", b"\x00\x01", b"\xff\xfe\xfd", b"  \n", b"%PDF-nonsense"):
        assert page.client.post("/attachments", content=data).status_code == 400
    page.client.post("/attachments", content="ä".encode("utf-16")).raise_for_status()
