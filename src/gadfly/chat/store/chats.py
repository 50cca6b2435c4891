"""The list of chats: making, naming, filing, throwing away and finding them again."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gadfly.chat.persona import checked_wit
from gadfly.chat.store.chat_rows import INFO, find_chat, forget_title, info_of, keep_title, listed, visit
from gadfly.chat.store.database import Database
from gadfly.chat.store.messages import canonical, forget_messages
from gadfly.chat.store.values import ChatInfo, Listing, Place
from gadfly.errors import RequestError

__all__ = ["Chats"]

_ALPHABET = "abcdefghijkmnopqrstuvwxyz23456789"  # no l 0 1: ids are also read and typed
_ID_LENGTH = 16
_TEXT_LIMITS = {"title": 300, "folder": 200, "model": 1000, "persona": 200, "system": 1_000_000, "draft": 1_000_000}
_TAGS, _TAG_LENGTH = 50, 100
_NULLABLE = ("model", "persona", "wit", "system")
FIELDS = (*_TEXT_LIMITS, "pinned", "archived", "tags", "wit", "sampling", "adapters", "leaf")


class Chats(Database):
    """Chats of owners. Methods raise NotFoundError for a chat that is not there or somebody else's."""

    def chats(
        self,
        owner: str,
        *,
        folder: str | None = None,
        tag: str | None = None,
        place: Place = "active",
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing:
        """Pinned ones first, then the latest. `cursor` is the `next` of the page before."""
        terms, values = listed(owner, place, folder, tag)
        if cursor is not None:
            terms.append("(pinned, updated, number) < (?, ?, ?)")
            values += _position(cursor)
        order = "pinned DESC, updated DESC, number DESC"
        query = f"SELECT {INFO} FROM chat WHERE {' AND '.join(terms)} ORDER BY {order} LIMIT ?"
        limit = max(1, min(limit, 500))
        with self.reading() as connection:
            rows = connection.execute(query, (*values, limit + 1)).fetchall()
        shown = rows[:limit]
        following = [shown[-1][name] for name in ("pinned", "updated", "number")] if len(rows) > limit else None
        return Listing(tuple(map(info_of, shown)), json.dumps(following) if following else None)

    def info(self, owner: str, chat: str) -> ChatInfo:
        with self.reading() as connection:
            return info_of(find_chat(connection, owner, chat))

    def beginning(self, owner: str, text: str) -> list[ChatInfo]:
        """Chats whose ids begin so, for people who type them."""
        query = f"SELECT {INFO} FROM chat WHERE owner = ? AND substr(id, 1, ?) = ? ORDER BY updated DESC"
        with self.reading() as connection:
            return [info_of(row) for row in connection.execute(query, (owner, len(text), text))]

    def latest(self, owner: str) -> ChatInfo | None:
        """The one in which something happened last, of those that are not deleted."""
        query = f"SELECT {INFO} FROM chat WHERE owner = ? AND deleted IS NULL ORDER BY updated DESC, number DESC"
        with self.reading() as connection:
            row = connection.execute(query, (owner,)).fetchone()
        return None if row is None else info_of(row)

    def folders(self, owner: str) -> tuple[str, ...]:
        """Names of folders that have chats which are not deleted."""
        query = "SELECT DISTINCT folder FROM chat WHERE owner = ? AND deleted IS NULL AND folder <> '' ORDER BY folder"
        return self._column(query, owner)

    def tags(self, owner: str) -> tuple[str, ...]:
        """Tags of chats that are not deleted."""
        query = (
            "SELECT DISTINCT tag FROM tag JOIN chat ON chat = number WHERE owner = ? AND deleted IS NULL ORDER BY tag"
        )
        return self._column(query, owner)

    def create(self, owner: str, title: str = "", **fields: Any) -> ChatInfo:
        """An empty chat; `fields` as for `change`."""
        now = time.time()
        with self.writing() as connection:
            chat = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
            connection.execute(
                "INSERT INTO chat (id, owner, title, created, updated) VALUES (?, ?, ?, ?, ?)",
                (chat, owner, _text("title", title), now, now),
            )
            keep_title(connection, find_chat(connection, owner, chat)["number"])
            return self.change(owner, chat, **fields)

    def change(self, owner: str, chat: str, **fields: Any) -> ChatInfo:
        """Set title, pinned, archived, folder, tags, model, persona, wit, system, sampling, adapters, draft or leaf.

        Raises RequestError for a value that makes no sense. A new leaf counts as a visit of that message.
        """
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            for name, value in fields.items():
                if name == "tags":
                    connection.execute("DELETE FROM tag WHERE chat = ?", (number,))
                    connection.executemany("INSERT INTO tag VALUES (?, ?)", [(number, tag) for tag in _tags(value)])
                elif name == "leaf":
                    visit(connection, number, value)
                else:
                    checked = _checked(name, value)
                    if name == "title":
                        forget_title(connection, number)
                    connection.execute(f"UPDATE chat SET {name} = ? WHERE number = ?", (checked, number))
                    if name == "title":
                        keep_title(connection, number)
            return info_of(find_chat(connection, owner, chat))

    def delete(self, owner: str, chat: str) -> ChatInfo:
        """Into the bin, from where `restore` brings it back."""
        return self._set_deleted(owner, chat, time.time())

    def restore(self, owner: str, chat: str) -> ChatInfo:
        return self._set_deleted(owner, chat, None)

    def purge(self, owner: str, chat: str) -> None:
        """Forget a chat for good: what only it said is overwritten in the file."""
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            connection.execute("UPDATE chat SET leaf = NULL WHERE number = ?", (number,))
            connection.execute("UPDATE node SET parent = NULL WHERE chat = ?", (number,))  # so that any order will do
            forget_title(connection, number)
            connection.execute("DELETE FROM chat WHERE number = ?", (number,))
            forget_messages(connection)
            connection.execute(
                "DELETE FROM attachment WHERE created < ? AND hash NOT IN (SELECT attachment FROM attached)",
                (time.time() - 86400,),  # what has just been uploaded will be sent soon
            )
        with self._lock, self._explained():
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or the log would remember

    def _set_deleted(self, owner: str, chat: str, deleted: float | None) -> ChatInfo:
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            connection.execute("UPDATE chat SET deleted = ? WHERE number = ?", (deleted, number))
            return info_of(find_chat(connection, owner, chat))

    def _column(self, query: str, *values: object) -> tuple[str, ...]:
        with self.reading() as connection:
            return tuple(row[0] for row in connection.execute(query, values))


def _position(cursor: str) -> Sequence[Any]:
    try:
        pinned, updated, number = json.loads(cursor)
        return int(pinned), float(updated), int(number)
    except (ValueError, TypeError, RecursionError):
        raise RequestError(f"the cursor is {cursor!r:.80}; take the one of the page before", "cursor") from None


def _checked(name: str, value: Any) -> str | float | None:
    if value is None and name in _NULLABLE:
        return None
    if name in _TEXT_LIMITS:
        return _text(name, value)
    if name in ("pinned", "archived") and isinstance(value, bool):
        return value
    if name == "wit":
        return checked_wit(value)
    if name in ("sampling", "adapters") and isinstance(value, Mapping):
        return canonical(value, name)
    if name in FIELDS:
        raise RequestError(f"{name} is {value!r:.80}, which makes no sense", name)
    raise RequestError(f"a chat has no {name!r}; there are {', '.join(FIELDS)}", name)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{name} is {value!r:.80}; expected a text", name)
    if len(value) > _TEXT_LIMITS[name]:
        raise RequestError(f"{name} has {len(value)} characters; {_TEXT_LIMITS[name]} are kept", name)
    return value


def _tags(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(tag, str) and tag.strip() for tag in value):
        raise RequestError(f"tags are {value!r:.80}; expected a list of words", "tags")
    if len(value) > _TAGS or any(len(tag) > _TAG_LENGTH for tag in value):
        raise RequestError(f"there are too many tags, or too long ones; {_TAGS} of {_TAG_LENGTH} characters", "tags")
    return list(dict.fromkeys(tag.strip() for tag in value))
