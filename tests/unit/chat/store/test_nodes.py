"""The tree in the store."""

from dataclasses import replace
from pathlib import Path

import pytest

from gadfly.chat.store import Provenance, Store, nodes
from gadfly.conversation import Message, ToolCall
from gadfly.errors import NotFoundError, RequestError

PROVENANCE = Provenance(
    model="smollm2", digest="ab" * 32, licence="Apache-2.0", build={"gadfly": "0.1", "kernels": "avx2"},
    persona="gadfly", wit=0.5, system="Be brief.", adapters={"wit": 0.3}, sampling={"temperature": 0.7},
    seed=2**70, finish="stop", usage={"prompt_tokens": 9, "decode_seconds": 0.25}, dropped=2,
)  # fmt: skip


def user(text: str) -> Message:
    return Message("user", text)


def said(store: Store, chat: str) -> list[str]:
    return [node.message.content for node in store.open("", chat).path]


@pytest.fixture
def chat(store: Store) -> str:
    return store.create("").id


def test_an_answer_keeps_its_provenance_and_trace(store: Store, chat: str):
    asked = store.say("", chat, None, user("Why?"))
    writing = store.begin("", chat, asked.id, Provenance(model="smollm2"))
    assert (writing.node.state, writing.node.parent) == ("writing", asked.id)
    answer = writing.finish(Message("assistant", "Because.", "Hm."), PROVENANCE, {"tokens": [["Because", -0.1]]})
    assert (answer.state, answer.message.content, answer.message.reasoning) == ("complete", "Because.", "Hm.")
    assert answer.provenance == PROVENANCE
    assert answer.has_trace
    assert store.trace("", chat, answer.id) == {"tokens": [["Because", -0.1]]}
    assert store.trace("", chat, asked.id) is None
    conversation = store.open("", chat)
    assert conversation.path == [asked, answer]
    assert (conversation.info.leaf, conversation.info.messages) == (answer.id, 2)


def test_a_trace_that_is_too_large_is_not_kept(store: Store, chat: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes, "_TRACE_LIMIT", 100)
    writing = store.begin("", chat, None, Provenance())
    node = writing.finish(Message("assistant", "Because."), trace={"tokens": ["x"] * 100})
    assert (node.message.content, node.has_trace, store.trace("", chat, node.id)) == ("Because.", False, None)


def test_messages_keep_calls_of_tools_and_attachments(store: Store, chat: str):
    paper = store.attach("paper.txt", "text/plain", b"words", "words")
    asked = store.say("", chat, None, user("Read this."), [paper.hash])
    assert asked.attachments == (replace(paper, text=""),)
    call = Message("assistant", "", tool_calls=(ToolCall("1", "search", "{}"),))
    calling = store.say("", chat, asked.id, call)
    result = store.say("", chat, calling.id, Message("tool", "found", tool_call_id="1", name="search"))
    assert [node.message for node in store.open("", chat).path] == [asked.message, call, result.message]
    assert store.attachment(paper.hash) == paper
    assert store.attachment_data(paper.hash) == b"words"
    with pytest.raises(NotFoundError, match="attachment"):
        store.say("", chat, asked.id, user("And this."), ["0" * 64])
    assert store.info("", chat).messages == 3


def test_the_same_words_are_kept_once(store: Store, chat: str):
    other = store.create("anna").id
    paper = store.attach("a", "text/plain", b"", "")
    for owner, one, attached in (("", chat, []), ("anna", other, []), ("", chat, [paper.hash])):
        store.say(owner, one, None, user("Good morning"), attached)
    with store.reading() as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone()[0] == 2


def test_what_is_written_is_seen_by_others_and_ends_as_a_message(store: Store, chat: str, tmp_path: Path):
    asked = store.say("", chat, None, user("Why?"))
    writing = store.begin("", chat, asked.id, PROVENANCE, "Well, ")
    writing.write("because", "hm")
    writing.flush()
    other = Store(tmp_path / "chats.sqlite")
    seen = other.open("", chat).path[-1]
    assert (seen.state, seen.message) == ("writing", Message("assistant", "Well, because", "hm"))
    other.close()
    node = writing.stop()
    assert (node.state, node.message) == ("stopped", seen.message)
    for ended in (writing.stop, writing.flush, lambda: writing.write("more"), lambda: writing.fail("late")):
        with pytest.raises(RequestError, match="ended"):
            ended()


def test_a_failure_is_told(store: Store, chat: str):
    node = store.begin("", chat, None, PROVENANCE).fail("the model walked out")
    assert (node.state, node.message.content, node.provenance.error) == ("failed", "", "the model walked out")


def test_what_a_store_leaves_half_written_is_interrupted(store: Store, chat: str, tmp_path: Path):
    other = Store(tmp_path / "chats.sqlite")
    writing = other.begin("", chat, None, PROVENANCE)
    writing.write("Because")
    writing.flush()
    assert store.open("", chat).nodes[0].state == "writing"
    other.close()
    node = store.open("", chat).nodes[0]
    assert (node.state, node.message.content, node.provenance) == ("interrupted", "Because", PROVENANCE)
    assert list((tmp_path / "chats.sqlite-writers").iterdir()) == []


def test_an_interrupted_answer_can_be_continued(store: Store, chat: str):
    asked = store.say("", chat, None, user("Why?"))
    writing = store.begin("", chat, asked.id, PROVENANCE)
    writing.write("Because")
    stopped = writing.stop()
    again = store.resume("", chat, stopped.id)
    assert again.text == "Because"
    again.write(" of it.")
    node = again.finish(Message("assistant", again.text))
    assert (node.id, node.message.content, node.state) == (stopped.id, "Because of it.", "complete")
    assert node.provenance == PROVENANCE
    with pytest.raises(RequestError, match="no answer"):
        store.resume("", chat, asked.id)
    store.say("", chat, node.id, user("Really?"))
    with pytest.raises(RequestError, match="has been answered"):
        store.resume("", chat, node.id)


def test_deleting_a_chat_ends_what_is_written_in_it(store: Store, chat: str):
    writing = store.begin("", chat, None, PROVENANCE)
    store.purge("", chat)
    for later in (writing.flush, writing.stop):
        with pytest.raises(NotFoundError, match="deleted"):
            later()


def test_versions_are_chosen_and_remember_where_they_went(store: Store, chat: str):
    first = store.say("", chat, None, user("1"))
    old = store.say("", chat, first.id, Message("assistant", "old"))
    store.say("", chat, old.id, user("on"))
    new = store.say("", chat, first.id, Message("assistant", "new"))
    assert said(store, chat) == ["1", "new"]
    store.choose("", chat, old.id)
    assert said(store, chat) == ["1", "old", "on"]
    store.choose("", chat, new.id)
    store.choose("", chat, first.id)
    assert said(store, chat) == ["1", "new"]
    store.change("", chat, leaf=old.id)
    assert said(store, chat) == ["1", "old"]
    store.choose("", chat, new.id)
    store.choose("", chat, old.id)
    assert said(store, chat) == ["1", "old"]
    edited = store.say("", chat, None, user("2"))
    assert said(store, chat) == ["2"]
    assert [node.id for node in store.open("", chat).tree.siblings(edited.id)] == [first.id, edited.id]


def test_pruning_hides_and_can_be_undone(store: Store, chat: str):
    first = store.say("", chat, None, user("1"))
    old = store.say("", chat, first.id, Message("assistant", "old"))
    new = store.say("", chat, first.id, Message("assistant", "new"))
    assert store.mark("", chat, new.id, pruned=True, name="dull", favourite=True).pruned
    assert said(store, chat) == ["1", "old"]
    assert store.search("", "new") == []
    store.mark("", chat, old.id, pruned=True)
    assert said(store, chat) == ["1"]
    store.mark("", chat, first.id, pruned=True)
    assert said(store, chat) == []
    for node in (first, old, new):
        store.mark("", chat, node.id, pruned=False)
    store.choose("", chat, new.id)
    assert said(store, chat) == ["1", "new"]
    marked = store.node("", chat, new.id)
    assert (marked.name, marked.favourite, marked.pruned) == ("dull", True, False)
    for wrong in ({"name": 3}, {"name": "x" * 300}, {"pruned": 1}, {"state": "complete"}):
        with pytest.raises(RequestError):
            store.mark("", chat, new.id, **wrong)


def test_a_fork_is_a_chat_of_its_own(store: Store, chat: str):
    store.change("", chat, title="Original", model="smollm2", sampling={"top_k": 5})
    first = store.say("", chat, None, user("1"))
    answer = store.begin("", chat, first.id, PROVENANCE).finish(Message("assistant", "a"), trace={"tokens": []})
    store.say("", chat, first.id, Message("assistant", "not on the path"))
    fork = store.fork("", chat, answer.id)
    assert (fork.title, fork.model, fork.sampling, fork.messages) == ("Original", "smollm2", {"top_k": 5}, 2)
    copied = store.open("", fork.id).path
    assert [node.message for node in copied] == [first.message, answer.message]
    assert (copied[1].provenance, copied[1].has_trace) == (answer.provenance, True)
    store.purge("", chat)
    assert said(store, fork.id) == ["1", "a"]
    writing = store.begin("", fork.id, None, PROVENANCE)
    with pytest.raises(RequestError, match="being written"):
        store.fork("", fork.id, writing.node.id)
    assert len(store.chats("").chats) == 1


def test_messages_of_other_chats_are_not_found(store: Store, chat: str):
    there = store.say("", store.create("").id, None, user("there"))
    for wrong in (there.id, 10**30, -1):
        for act in (
            lambda node: store.say("", chat, node, user("?")),
            lambda node: store.begin("", chat, node, PROVENANCE),
            lambda node: store.choose("", chat, node),
            lambda node: store.mark("", chat, node, pruned=True),
            lambda node: store.fork("", chat, node),
            lambda node: store.node("", chat, node),
            lambda node: store.resume("", chat, node),
            lambda node: store.trace("", chat, node),
            lambda node: store.change("", chat, leaf=node),
            lambda node: store.feedback("", chat, node, 1),
        ):
            with pytest.raises(NotFoundError):
                act(wrong)
    assert store.info("", chat).messages == 0


def test_half_characters_and_giants_are_refused(store: Store, chat: str):
    for wrong in ("half \ud800", "x" * 16_000_001):
        with pytest.raises(RequestError):
            store.say("", chat, None, user(wrong))
    assert store.open("", chat).nodes == ()
