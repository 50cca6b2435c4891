"""Backups, the check, and files that are no store."""

import sqlite3
import stat
from pathlib import Path

import pytest

from gadfly.chat.store import Store
from gadfly.chat.store.schema import MIGRATIONS
from gadfly.conversation import Message
from gadfly.errors import RequestError, StoreError


def test_a_backup_is_a_store(store: Store, tmp_path: Path):
    chat = store.create("", "Kept")
    store.say("", chat.id, None, Message("user", "Hello"))
    store.backup(tmp_path / "copy.sqlite")
    assert [file.name for file in tmp_path.glob("copy*")] == ["copy.sqlite"]
    copy = Store(tmp_path / "copy.sqlite")
    assert copy.open("", chat.id) == store.open("", chat.id)
    assert copy.check() == []
    copy.close()
    with pytest.raises(RequestError, match="exists already"):
        store.backup(tmp_path / "copy.sqlite")
    with pytest.raises(StoreError, match="nowhere"):
        store.backup(tmp_path / "nowhere" / "copy.sqlite")


def test_only_its_owner_may_read_it(store: Store, tmp_path: Path):
    store.create("")
    store.backup(tmp_path / "copy.sqlite")
    for file in tmp_path.glob("c*sqlite*"):
        assert stat.S_IMODE(file.stat().st_mode) in (0o600, 0o700), file


def test_the_check_finds_what_was_changed_behind_its_back(tmp_path: Path):
    store = Store(tmp_path / "chats.sqlite")
    chat = store.create("")
    store.say("", chat.id, None, Message("user", "Hello there"))
    other = sqlite3.connect(store.path)
    other.execute("UPDATE message SET content = 'Goodbye'")
    other.execute("UPDATE node SET message = 77")
    other.commit()
    other.close()
    problems = " ".join(store.check())
    assert "message 1 is not what was stored" in problems
    assert "row 1 of node refers to what is not in message" in problems
    store.close()


def test_a_damaged_file_is_an_error_in_words(tmp_path: Path):
    path = tmp_path / "chats.sqlite"
    store = Store(path)
    chat = store.create("")
    with store.writing():  # in one transaction, which is quicker
        for number in range(300):
            store.say("", chat.id, None, Message("user", f"{number} " * 100))
    store.close()
    data = bytearray(path.read_bytes())
    for page in range(4096 * 8, len(data), 4096):
        data[page : page + 1000] = b"\xff" * 1000
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        Store(path).open("", chat.id)
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match="damaged"):
        Store(path)


def test_a_file_of_another_program_is_left_alone(tmp_path: Path):
    path = tmp_path / "browser.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cookies (jar TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        Store(path)


def test_a_file_of_a_later_gadfly_is_left_alone(tmp_path: Path):
    path = tmp_path / "chats.sqlite"
    Store(path, migrations=[*MIGRATIONS, "CREATE TABLE more (one TEXT);"]).close()
    with pytest.raises(StoreError, match="later Gadfly"):
        Store(path)


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path):
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file" / "chats.sqlite", tmp_path):
        with pytest.raises(StoreError):
            Store(wrong)


def test_a_store_that_has_been_closed_says_so(tmp_path: Path):
    store = Store(tmp_path / "chats.sqlite")
    store.close()
    for act in (lambda: store.create(""), lambda: store.chats("")):
        with pytest.raises(StoreError, match="closed"):
            act()
