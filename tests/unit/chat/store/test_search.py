"""Full-text search."""

from pathlib import Path

import pytest

from gadfly.chat.store import Store
from gadfly.chat.store.schema import MIGRATIONS
from gadfly.conversation import Message


def found(store: Store, text: str) -> list[str]:
    return [hit.chat.title for hit in store.search("", text)]


@pytest.fixture
def full(store: Store) -> Store:
    for title, text in (
        ("Insects", "The gadfly stings a lazy horse, as Socrates stung Athens."),
        ("Küche", "Ein Gerücht über Äpfel und gadflies"),
        ("Code", 'print("NOT a query") AND "OR" NEAR(x)'),
    ):
        chat = store.create("", title)
        store.say("", chat.id, None, Message("user", text))
    return store


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("socrates", ["Insects"]), ("gadfl", ["Küche", "Insects"]), ("gadfly ", ["Insects"]), ("gad fly", []),
        ("horse lazy", ["Insects"]), ('"lazy horse"', ["Insects"]), ('"horse lazy"', []), ("apfel", ["Küche"]),
        ("kuche", ["Küche"]), ("insect", ["Insects"]), ("NOT", ["Code"]), ("NEAR(", ["Code"]), ('"', []), ("*", []),
        ("", []), ("a^b:c", []), ("x" * 5000, []), ("gadfly\0stings", ["Insects"]), ("-horse", ["Insects"]),
    ],
)  # fmt: skip
def test_words_phrases_beginnings_and_no_syntax(full: Store, text: str, titles: list[str]):
    assert found(full, text) == titles


def test_a_snippet_marks_what_was_found(full: Store):
    [hit] = full.search("", "stings lazy")
    assert [piece for piece, marked in hit.snippet if marked] == ["stings", "lazy"]
    assert "".join(piece for piece, _ in hit.snippet).startswith("The gadfly stings a lazy horse")
    assert hit.node == full.open("", hit.chat.id).nodes[0].id


def test_a_chat_is_found_once_by_its_newest_message(store: Store):
    chat = store.create("")
    store.say("", chat.id, None, Message("user", "wasp one"))
    newest = store.say("", chat.id, None, Message("user", "wasp two"))
    [hit] = store.search("", "wasp")
    assert hit.node == newest.id
    store.delete("", chat.id)
    assert store.search("", "wasp") == []


def test_a_new_title_is_found_and_the_old_one_is_not(store: Store):
    chat = store.create("", "Hornets")
    store.change("", chat.id, title="Bees")
    assert found(store, "hornets") == []
    assert found(store, "bees") == ["Bees"]


def test_the_titles_of_an_older_file_are_found(tmp_path: Path):
    old = Store(tmp_path / "old.sqlite", migrations=MIGRATIONS[:2])
    with old.writing() as connection:
        values = ("a" * 16, "Hornets")
        connection.execute("INSERT INTO chat (id, owner, title, created, updated) VALUES (?, '', ?, 0, 0)", values)
    old.close()
    new = Store(tmp_path / "old.sqlite")
    assert found(new, "hornets") == ["Hornets"]
    assert new.check() == []
    new.close()
