"""Conversations of the store, from the terminal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gadfly.chat.kept import Kept
from gadfly.chat.session import Chat
from gadfly.chat.store import Store
from gadfly.chat.values import Message
from gadfly.cli.printable import printable
from gadfly.cli.talk import Talk
from scripted_speaker import PERSONA, ScriptedSpeaker
from unit.cli.test_talk import Recorder, last


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "chats.sqlite")
    yield store
    store.close()


@pytest.fixture
def talk(store: Store, tmp_path: Path) -> Talk:
    speaker = ScriptedSpeaker(lambda asked, _: [f"{len(asked)} messages"])
    return Talk(Chat(speaker, PERSONA, kept=Kept(store)), Recorder(), "m", lambda _: speaker, tmp_path, stats=False)


def shown(talk: Talk, line: str) -> list[str]:
    before = len(talk.screen.shown)  # type: ignore[attr-defined]
    talk.take(line)
    return talk.screen.shown[before:]  # type: ignore[attr-defined]


def test_listing_finding_and_opening(talk: Talk):
    assert shown(talk, "/chats") == ["There are none."]
    talk.take("What is a gadfly?")
    talk.take("/new")
    talk.take("What is a wasp?")
    listed = shown(talk, "/chats")
    assert [line.split()[0] for line in listed] == [">", "2"]
    assert listed[0].endswith("What is a wasp?")
    assert shown(talk, "/open 2")[:2] == [
        "What is a gadfly?: 1 exchanges. m goes on from here.",
        "You: What is a gadfly?",
    ]
    assert last(talk) == "Tester: 4 messages"
    assert [turn.user for turn in talk.chat.turns] == ["What is a gadfly?"]
    talk.take("/open wasp")
    assert [turn.user for turn in talk.chat.turns] == ["What is a wasp?"]
    talk.take(f"/open {talk.listed[1][:5]}")
    assert [turn.user for turn in talk.chat.turns] == ["What is a gadfly?"]
    found = shown(talk, "/chats wasp")
    assert found[0].endswith("What is a wasp?")
    assert shown(talk, "/chats hornet") == ["No conversation has 'hornet' in it."]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/open", "which one?"), ("/open 7", "no chat"), ("/open nothing", "no chat"), ("/open what", "several"),
        ("/branches", "nothing has been said"), ("/title", "nothing has been said"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_explained(talk: Talk, line: str, said: str):
    talk.take("What?")
    talk.take("/new")
    talk.take("What else?")
    talk.take("/new")
    talk.take(line)
    assert said in last(talk)


def test_branches(talk: Talk):
    talk.take("One?")
    assert "said once" in shown(talk, "/branches")[0]
    talk.take("/retry")
    talk.take("Two?")
    talk.take("/edit Three?")
    listed = shown(talk, "/branches")
    assert [line[:9] for line in listed] == ["   1  Tes", ">  2  Tes", "   3  You", ">  4  You"]
    talk.take("/branches 3")
    assert [turn.user for turn in talk.chat.turns] == ["One?", "Two?"]
    talk.take("/branches 1")
    assert [turn.user for turn in talk.chat.turns] == ["One?"]
    talk.take("Four?")
    assert [turn.user for turn in talk.chat.turns] == ["One?", "Four?"]
    talk.take("/branches 9")
    assert "no version '9'" in last(talk)


def test_everything_taken_back_can_be_chosen_again(talk: Talk):
    talk.take("One?")
    talk.take("/undo")
    assert shown(talk, "/branches")[0].startswith("   1  You: One?")
    talk.take("/branches 1")
    assert [turn.user for turn in talk.chat.turns] == ["One?"]


def test_what_was_set_since_stays(talk: Talk):
    talk.take("One?")
    talk.take("/retry")
    talk.take("/wit 0.9")
    talk.take("/branches 1")
    assert talk.chat.wit == 0.9


def test_titles(talk: Talk, store: Store):
    talk.take("One?")
    assert shown(talk, "/title") == ["One?"]
    talk.take("/title A better one")
    assert [chat.title for chat in store.chats("").chats] == ["A better one"]


def test_a_private_conversation_has_nothing_to_open(talk: Talk):
    talk.chat.kept = None
    for line in ("/chats", "/open 1", "/branches", "/title"):
        talk.take(line)
        assert "private" in last(talk)


def test_titles_and_snippets_of_strangers_reach_the_screen_only_through_its_filter(talk: Talk, store: Store):
    """`screen.note` is what filters; so nothing here may write by any other way."""
    evil = "\x1b]0;owned\x07 wasp \u202e"
    chat = store.create("", evil)
    store.say("", chat.id, None, Message("user", evil))
    lines = shown(talk, "/chats wasp")
    assert any("\x1b" in line for line in lines)
    assert not any("\x1b" in printable(line) for line in lines)
