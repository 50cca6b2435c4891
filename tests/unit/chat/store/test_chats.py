"""The list of chats."""

from pathlib import Path

import pytest

from gadfly.chat.store import Store
from gadfly.conversation import Message
from gadfly.errors import NotFoundError, RequestError


def titles(store: Store, **options) -> list[str]:
    return [chat.title for chat in store.chats("", **options).chats]


def test_a_chat_is_what_it_was_made_and_changed_to(store: Store):
    chat = store.create("", "First", model="smollm2", wit=0.7, tags=["a", "b", "a "])
    assert (chat.title, chat.model, chat.wit, chat.tags, chat.messages, chat.leaf) == (
        "First", "smollm2", 0.7, ("a", "b"), 0, None,
    )  # fmt: skip
    changed = store.change("", chat.id, title="Second", sampling={"temperature": 0.5}, draft="I was", tags=[], wit=None)
    assert (changed.title, changed.sampling, changed.draft, changed.tags, changed.wit) == (
        "Second", {"temperature": 0.5}, "I was", (), None,
    )  # fmt: skip
    assert store.info("", chat.id) == changed


@pytest.mark.parametrize(
    "fields",
    [
        {"title": 3}, {"title": "x" * 1000}, {"wit": 2}, {"wit": "high"}, {"tags": "one"}, {"tags": [""]},
        {"tags": ["x"] * 51}, {"tags": ["x" * 101]}, {"pinned": 1}, {"sampling": []}, {"sampling": {"a": float("nan")}},
        {"sampling": {"a": "x" * 2_000_000}}, {"colour": "red"}, {"folder": None}, {"title": "half \ud800"},
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused_and_change_nothing(store: Store, fields: dict):
    chat = store.create("", "Kept")
    with pytest.raises(RequestError):
        store.change("", chat.id, draft="also not kept", **fields)
    assert store.info("", chat.id) == chat


def test_the_list_begins_with_what_is_pinned_and_goes_on_with_the_latest(store: Store):
    first, *_ = [store.create("", title) for title in ("one", "two", "three")]
    assert titles(store) == ["three", "two", "one"]
    store.say("", first.id, None, Message("user", "Hello"))
    assert titles(store) == ["one", "three", "two"]
    store.change("", store.chats("").chats[-1].id, pinned=True)
    assert titles(store) == ["two", "one", "three"]


def test_the_list_comes_in_pages_that_neither_skip_nor_repeat(store: Store):
    for number in range(23):
        store.create("", str(number), pinned=number % 5 == 0)
    found, cursor = [], None
    while True:
        page = store.chats("", limit=4, cursor=cursor)
        found += [chat.title for chat in page.chats]
        if (cursor := page.next) is None:
            break
    assert sorted(found, key=int) == [str(number) for number in range(23)]
    assert found == titles(store)
    with pytest.raises(RequestError, match="cursor"):
        store.chats("", cursor="[1]")


def test_folders_tags_archive_and_bin(store: Store):
    one = store.create("", "one", folder="work", tags=["x"])
    store.create("", "two", tags=["x", "y"])
    assert store.folders("") == ("work",)
    assert store.tags("") == ("x", "y")
    assert titles(store, folder="work") == ["one"]
    assert titles(store, folder="") == ["two"]
    assert titles(store, tag="x") == ["two", "one"]
    store.change("", one.id, archived=True)
    assert titles(store) == ["two"]
    assert titles(store, place="archived") == ["one"]
    assert store.delete("", one.id).deleted is not None
    assert titles(store, place="archived") == []
    assert titles(store, place="deleted") == ["one"]
    assert store.folders("") == ()
    assert store.restore("", one.id).deleted is None
    assert titles(store, place="archived") == ["one"]


def test_owners_do_not_see_one_another(store: Store):
    hers = store.create("anna", "secret")
    assert store.chats("").chats == ()
    for look in (store.info, store.open, store.delete, store.purge, store.change):
        with pytest.raises(NotFoundError, match="no chat"):
            look("", hers.id)
    assert store.search("", "secret") == []
    assert store.info("anna", hers.id).title == "secret"


def test_what_is_purged_is_nowhere_in_the_files(store: Store, tmp_path: Path):
    """Neither in tables nor index, free pages or the log."""
    secret = "xylophone quarrel zeppelin"
    chat = store.create("", f"Bye {secret}")
    other = store.create("", "Stays")
    for one in (chat, other):
        store.say("", one.id, None, Message("user", "said in both"))
    asked = store.say("", chat.id, None, Message("user", secret))
    store.say("", chat.id, asked.id, Message("assistant", secret.upper(), secret))
    store.change("", chat.id, draft=secret)
    for number in range(50):
        store.say("", other.id, None, Message("user", f"{number} other words"))
    assert any(b"zeppelin" in file.read_bytes() for file in tmp_path.glob("chats.sqlite*") if file.is_file())
    store.purge("", chat.id)
    for file in tmp_path.glob("chats.sqlite*"):
        assert not file.is_file() or b"zeppelin" not in file.read_bytes().lower()
    assert store.search("", "zeppelin") == []
    assert [hit.chat.title for hit in store.search("", "said in both")] == ["Stays"]
    with pytest.raises(NotFoundError):
        store.open("", chat.id)


def test_changes_tell_that_something_has_changed(store: Store, tmp_path: Path):
    before = store.changes()
    assert store.changes() == before
    chat = store.create("")
    after = store.changes()
    assert after != before
    other = Store(tmp_path / "chats.sqlite")
    other.change("", chat.id, title="by another process")
    other.close()
    assert store.changes() != after
