"""Full-text search."""

from pathlib import Path

import pytest

from gadfly.chat.store import Store
from gadfly.chat.store.messages import digest
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


SIGNS = {
    "chinese": "我们今天去北京大学学习中文，喝咖啡。",
    "japanese": "吉野家で牛丼を食べた。コーヒーも飲んだ。𠮷田さんは来ない。",
    "korean": "나는 서울대학교에서 커피를 마셨습니다.",
    "thai": "สวัสดีครับ วันนี้ไปกรุงเทพ",
    "mixed": "Das Wort 牛虻 heißt gadfly, auf Japanisch アブ, und Äpfel gibt es auch.",
}


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("京", ["chinese"]), ("北京", ["chinese"]), ("京大", ["chinese"]), ("北大", []), ("中文 北京", ["chinese"]),
        ('"今天去"', ["chinese"]), ('"去今天"', []), ("中文　咖啡", ["chinese"]), ("学 ", ["chinese"]),
        ("牛", ["mixed", "japanese"]), ("牛丼", ["japanese"]), ("コーヒー", ["japanese"]), ("ー", ["japanese"]),
        ("𠮷", ["japanese"]), ("食べた", ["japanese"]), ("カ\u3099", []), ("アフ\u3099", ["mixed"]), ("アフ", []),
        ("서", ["korean"]), ("서울", ["korean"]), ("대학교", ["korean"]), ("커피 서울", ["korean"]),
        ("커 피", ["korean"]),
        ("\u110f\u1165\u1111\u1175", ["korean"]), ("กรุงเทพ", ["thai"]), ("สวัส", ["thai"]),
        ("牛虻", ["mixed"]), ("虻", ["mixed"]), ("牛虻 gadf", ["mixed"]), ("apfel 牛", ["mixed"]), ("heiß", ["mixed"]),
        ("Wort牛", ["mixed"]), ("虻heißt", ["mixed"]), ("heißt牛", []), ("，", []), ("chin", ["chinese"]),
    ],
)  # fmt: skip
def test_signs_are_found_where_no_space_parts_words(store: Store, text: str, titles: list[str]):
    for title, said in SIGNS.items():
        store.say("", store.create("", title).id, None, Message("user", said))
    assert found(store, text) == titles


def test_a_snippet_of_signs_is_as_it_was_said(store: Store):
    text = "牛虻" + "我们今天去北京大学学习中文。" * 20 + "他说：牛丼好吃。" + "然后我们回家睡觉。" * 20
    store.say("", store.create("").id, None, Message("user", text))
    [hit] = store.search("", "牛丼")
    shown = "".join(piece for piece, _ in hit.snippet)
    assert [piece for piece, marked in hit.snippet if marked] == ["牛丼"]
    assert shown.strip("…") in text and shown.startswith("…") and 30 < len(shown) < 60


def test_a_title_in_signs_is_found_until_it_changes(store: Store):
    chat = store.create("", "关于牛虻的书")
    assert found(store, "牛虻") == ["关于牛虻的书"]
    store.change("", chat.id, title="Bees")
    assert found(store, "牛虻") == []
    assert store.check() == []


def test_no_sign_of_what_was_purged_is_left(store: Store):
    chat = store.create("", "牛虻")
    store.say("", chat.id, None, Message("user", "서울 Zwirbelkäfer"))
    store.purge("", chat.id)
    words = [row for index in ("message_text", "title_text") for row in terms_of(store, index)]
    assert words == [] and store.check() == []


def test_a_message_that_the_index_lacks_is_told(tmp_path: Path):
    store = Store(tmp_path / "chats.sqlite")
    store.say("", store.create("").id, None, Message("user", "wasp"))
    with store.writing() as connection:
        connection.execute("INSERT INTO message_text (message_text) VALUES ('delete-all')")
    assert store.check() == ["the search does not know 1 rows of message"]
    store.close()


@pytest.mark.parametrize("version", [2, 3])
def test_what_an_older_file_says_is_found(tmp_path: Path, version: int):
    old = Store(tmp_path / "old.sqlite", migrations=MIGRATIONS[:version])
    with old.writing() as connection:
        values = ("a" * 16, "牛虻 Hornets")
        chat = connection.execute(
            "INSERT INTO chat (id, owner, title, created, updated) VALUES (?, '', ?, 0, 0)", values
        ).lastrowid
        message = Message("user", "我们今天 Äpfel")
        said = connection.execute(
            "INSERT INTO message (hash, role, content, reasoning) VALUES (?, 'user', ?, '')",
            (digest(message), message.content),
        ).lastrowid
        connection.execute(
            "INSERT INTO node (chat, message, state, created, visited) VALUES (?, ?, 'complete', 0, 0)", (chat, said)
        )
    old.close()
    new = Store(tmp_path / "old.sqlite")
    for text in ("hornets", "虻", "今天", "apfel"):
        assert found(new, text) == ["牛虻 Hornets"]
    assert new.check() == []
    new.close()


def terms_of(store: Store, index: str) -> list[str]:
    with store.writing() as connection:
        connection.execute(f"CREATE VIRTUAL TABLE temp.words USING fts5vocab (main, {index}, row)")
        found = [row[0] for row in connection.execute("SELECT term FROM temp.words")]
        connection.execute("DROP TABLE temp.words")
    return found


def test_what_a_title_brings_shows_what_was_said_in_it(store: Store):
    both, alone = store.create("", "Hornets"), store.create("", "Hornets, too")
    store.say("", both.id, None, Message("user", "Hornets sting. " + "Wasps do. " * 20))
    store.say("", both.id, None, Message("user", "They do."))
    store.say("", alone.id, None, Message("user", "Bees. " * 40))
    store.create("", "Hornets of nobody")
    empty, second, first = store.search("", "hornets")
    assert (empty.node, empty.snippet) == (None, ())
    assert second.node is None and second.snippet == ((("Bees. " * 40)[:90] + "…", False),)
    assert first.node is not None and ("Hornets", True) in first.snippet
    assert [hit.chat.id for hit in store.search("", "hornets", 1)] == [empty.chat.id]


def test_a_search_is_narrowed_by_place_folder_and_tag(store: Store):
    chats = [store.create("", f"Wasp {number}") for number in range(4)]
    for chat in chats:
        store.say("", chat.id, None, Message("user", "A wasp."))
    store.change("", chats[0].id, folder="Insects", tags=["small"])
    store.change("", chats[1].id, archived=True)
    store.delete("", chats[2].id)

    def numbers(**terms) -> list[int]:
        return sorted(int(hit.chat.title[-1]) for hit in store.search("", "wasp", **terms))

    assert numbers() == [0, 1, 3] and numbers(place="active") == [0, 3]
    assert (numbers(place="archived"), numbers(place="deleted")) == ([1], [2])
    assert numbers(folder="Insects") == numbers(tag="small") == [0]
    assert numbers(place="archived", tag="small") == [] and numbers(folder="") == [1, 3]
