"""Conversations that are kept in a store: in it is what the one who talks sees, and the versions that are no longer."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, rule

from gadfly.chat.kept import Kept
from gadfly.chat.session import Chat
from gadfly.chat.store import Provenance, Store
from gadfly.chat.values import Message
from gadfly.conversation import ToolCall
from gadfly.errors import CapacityError, NotFoundError, RequestError
from scripted_speaker import PERSONA, ScriptedSpeaker
from unit.chat.test_session import Conversation, said


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "chats.sqlite")
    yield store
    store.close()


def talk(store: Store, *questions: str, **options) -> Chat:
    chat = Chat(ScriptedSpeaker(), PERSONA, kept=Kept(store), **options)
    for question in questions:
        chat.send(question)
    return chat


def stored(store: Store, chat: Chat) -> list[tuple[str, str]]:
    return [(node.message.role, node.message.content) for node in store.open("", chat.kept.chat).path]


def test_a_chat_is_made_when_something_is_said(store: Store):
    chat = talk(store)
    assert store.chats("").chats == ()
    chat.send("What is a gadfly?\nAnd why?")
    [info] = store.chats("").chats
    assert (info.title, info.model, info.persona, info.wit) == ("What is a gadfly?", "scripted", "tester", 0.5)
    assert stored(store, chat) == [("user", "What is a gadfly?\nAnd why?"), ("assistant", "Yes, indeed.")]


def test_an_answer_can_be_had_again(store: Store):
    chat = talk(store, "Really?", system="Be brief.", temperature=0.5)
    origin = store.open("", chat.kept.chat).path[-1].provenance
    assert (origin.model, origin.licence, origin.persona, origin.system) == (
        "scripted",
        "CC0-1.0",
        "tester",
        "Be brief.",
    )
    assert origin.sampling["temperature"] == 0.5
    assert origin.seed is not None
    assert (origin.finish, origin.usage["completion_tokens"]) == ("stop", 2)


def test_what_is_asked_again_is_another_branch(store: Store):
    chat = talk(store, "One?", "Two?")
    list(chat.retry())
    list(chat.edit("Three?"))
    nodes = store.open("", chat.kept.chat).nodes
    assert [node.message.content for node in nodes if node.message.role == "user"] == ["One?", "Two?", "Three?"]
    assert len(nodes) == 7
    chat.undo()
    assert stored(store, chat) == [("user", "One?"), ("assistant", "Yes, indeed.")]
    chat.undo()
    assert stored(store, chat) == []
    chat.send("Four?")
    assert stored(store, chat)[0] == ("user", "Four?")


def test_a_retry_that_fails_leaves_the_answer_there_was(store: Store):
    chat = talk(store, "One?")
    chat.speaker.failure = RuntimeError("the cable is out")
    with pytest.raises(RuntimeError):
        list(chat.retry())
    assert stored(store, chat) == [("user", "One?"), ("assistant", "Yes, indeed.")]
    failed = store.open("", chat.kept.chat).nodes[-1]
    assert (failed.state, failed.provenance.error) == ("failed", "the cable is out")


def test_a_chat_of_the_app_goes_on_here(store: Store):
    info = store.create("", "From the app", persona="gone", wit=0.9, system="Be kind.")
    paper = store.attach("paper.txt", "text/plain", b"words", "words")
    asked = store.say("", info.id, None, Message("user", "Read."), [paper.hash])
    called = store.say("", info.id, asked.id, Message("assistant", "", tool_calls=(ToolCall("c", "f", "{}"),)))
    result = store.say("", info.id, called.id, Message("tool", "found", tool_call_id="c"))
    store.begin("", info.id, result.id, Provenance(persona="gone", wit=0.9)).finish(Message("assistant", "Done."))
    chat = talk(store)
    chat.open(info.id)
    assert (chat.persona, chat.wit, chat.system) == (PERSONA, 0.9, "Be kind.")
    assert said(chat) == [("Read.", "Done.")]
    assert [message.role for message in chat.turns[0].messages] == ["user", "assistant", "tool", "assistant"]
    assert chat.turns[0].messages[0].content == "paper.txt:\n```\nwords\n```\n\nRead."
    other = talk(store, "Hello")
    with pytest.raises(NotFoundError, match="no chat"):
        other.open("nowhere")
    assert said(other) == [("Hello", "Yes, indeed.")]


def test_an_answer_that_could_not_be_kept_is_not_lost_to_who_talks(store: Store, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise CapacityError("the disk is full")

    chat = talk(store)
    monkeypatch.setattr(chat.kept, "end", full)
    with pytest.raises(CapacityError):
        chat.send("Really?")
    assert said(chat) == [("Really?", "Yes, indeed.")]
    monkeypatch.undo()
    chat.send("Sure?")
    assert [text for role, text in stored(store, chat) if role == "user"] == ["Really?", "Sure?"]


def test_what_is_not_kept_opens_nothing():
    with pytest.raises(RequestError, match="nothing is kept"):
        Chat(ScriptedSpeaker(), PERSONA).open("any")


def test_a_file_of_old_becomes_a_chat(store: Store, tmp_path: Path):
    old = Chat(ScriptedSpeaker(), PERSONA)
    old.send("One?")
    old.save(tmp_path / "old.json")
    chat = talk(store)
    chat.load(tmp_path / "old.json")
    chat.send("Two?")
    assert [text for _, text in stored(store, chat)] == ["One?", "Yes, indeed.", "Two?", "Yes, indeed."]
    assert store.open("", chat.kept.chat).path[1].provenance.source == "gadfly-chat"


class KeptConversation(Conversation):
    """The same operations, and another one who opens the chat sees the same turns."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "chats.sqlite")
        self.chat = Chat(self.speaker, PERSONA, kept=Kept(self.store))

    def teardown(self) -> None:
        problems = self.store.check()
        self.store.close()
        self.folder.cleanup()
        assert problems == []

    @rule()
    def save_and_load(self) -> None:
        with TemporaryDirectory() as folder:
            self.chat.save(Path(folder) / "chat.json")
            before = said(self.chat)
            self.chat.load(Path(folder) / "chat.json")
            assert said(self.chat) == before

    @rule()
    def open(self) -> None:
        if self.chat.kept.chat is not None:
            self.chat.open(self.chat.kept.chat)

    @invariant()
    def another_sees_the_same(self) -> None:
        other = Chat(ScriptedSpeaker(), PERSONA, kept=Kept(self.store))
        if self.chat.kept.chat is not None:
            other.open(self.chat.kept.chat)
            assert said(other) == self.expected

    @invariant()
    def what_fell_off_stays_off_and_is_a_beginning(self) -> None:
        """An opened chat is looked at anew, so that it need not stay off."""


TestKeptConversation = KeptConversation.TestCase
TestKeptConversation.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
